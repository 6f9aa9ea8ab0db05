"""What engines deliver is run here."""

"""The page that shows what was measured, asked and counted, made from what that has written down."""

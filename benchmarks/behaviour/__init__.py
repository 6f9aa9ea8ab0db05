"""The same questions to bg_di and its peers, each in an environment of its own, and what was seen."""

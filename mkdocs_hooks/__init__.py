"""How the pages become a site: what is generated for them, and what they link to."""

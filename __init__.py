"""Layby, the checkout: the package itself is `layby/`; nothing is imported from here."""

"""The arguments and options that several commands take, each defined once."""

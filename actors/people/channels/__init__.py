"""The channels that come with Layby."""

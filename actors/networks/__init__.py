"""Networks: groups of agents, and the routing between them."""

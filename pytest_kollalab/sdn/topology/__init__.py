"""The topology of the network: its model, its collectors and its picture."""

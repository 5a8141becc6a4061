"""The OpenStack releases: what is pinned for each, and where packages come from."""

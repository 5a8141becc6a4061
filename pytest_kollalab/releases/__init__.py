"""The OpenStack releases: pinned versions, patches and package sources."""

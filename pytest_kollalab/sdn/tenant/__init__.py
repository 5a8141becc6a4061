"""Projects and what scenarios make in them: networks, ports, routers, servers."""

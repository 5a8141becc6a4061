"""BGP VPNs: networking-bgpvpn and bagpipe, a route reflector, a gateway of a data centre."""

"""Identity and network: what every lab has."""

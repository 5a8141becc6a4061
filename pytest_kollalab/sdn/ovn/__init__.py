"""OVN: what its databases say, what its logical pipeline would do, and what its switches do."""

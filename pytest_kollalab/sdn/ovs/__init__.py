"""Open vSwitch: flow tables, groups and agents."""

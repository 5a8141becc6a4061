module absent/govpp

module absent/util

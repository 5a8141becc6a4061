"""Virtual network functions: Tacker, and Heat, which it makes their servers with."""

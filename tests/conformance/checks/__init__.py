"""The checks, a module an area. Who imports one enters its checks, in the order of the import."""

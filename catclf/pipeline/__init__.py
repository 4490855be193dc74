"""The tools, one a module: settings in, result values out; nothing is printed."""

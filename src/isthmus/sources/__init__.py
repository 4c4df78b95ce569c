"""Where rows come from: files, folders, named data sets, series."""

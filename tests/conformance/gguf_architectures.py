def export(folder, out):
    pass

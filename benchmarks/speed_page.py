def page(measured): return ""

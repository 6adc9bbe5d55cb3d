"""The service over HTTP: routes, who may use them, and what is answered where something is wrong.

The one place that imports the web framework (Litestar) and the server (uvicorn).
"""

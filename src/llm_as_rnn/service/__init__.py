"""The service: sessions of many tenants on a database, over HTTP."""

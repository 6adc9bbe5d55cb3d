"""A torture test in the manner of Jepsen: processes of the service on one database, clients, a nemesis, a checker.

``python -m tests.service.torture --kills 200`` runs it for long; a short run is among the tests. What it asks at the
end is whether everything that was acknowledged is there, was learned exactly once, in order, and was seen by its tenant
alone.
"""

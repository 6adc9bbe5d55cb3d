"""Who answers a request: servers, the embedded model, scripts; the response cache; model files."""

"""How servers are measured side by side: contestants, loads, and the page with the figures."""

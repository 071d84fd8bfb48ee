"""The service's first page: Swagger UI from BentoML's own files, without the tracker that its page loads."""

DOCS_PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Fraud detector</title>
    <link rel="stylesheet" href="static_content/swagger-ui.css">
    <link rel="icon" href="data:,">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="static_content/swagger-ui-bundle.js"></script>
    <script>SwaggerUIBundle({url: "docs.json", dom_id: "#swagger-ui", deepLinking: true});</script>
  </body>
</html>
"""

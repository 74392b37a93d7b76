// Shows the API's description. Nothing is sent to anybody else: no validator, no fonts, no analytics.
window.onload = () => {
  window.SwaggerUIBundle({
    url: "/api/mcp/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
  });
};

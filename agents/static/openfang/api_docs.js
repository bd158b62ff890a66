"use strict";

const docs = document.getElementById("docs");

SwaggerUIBundle({
    domNode: docs,
    url: docs.dataset.schema,
    deepLinking: true,
    validatorUrl: null, // the schema stays on this server
    requestInterceptor(request) {
        request.headers["X-CSRFToken"] = docs.dataset.csrf;
        return request;
    },
});

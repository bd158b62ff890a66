"use strict";

const docs = document.getElementById("docs");

document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);

SwaggerUIBundle({
    domNode: docs,
    url: docs.dataset.schema,
    deepLinking: true,
    defaultModelsExpandDepth: 0, // the shapes stand with the operations, too
    validatorUrl: null, // the schema stays on this server
    requestInterceptor(request) {
        request.headers["X-CSRFToken"] = docs.dataset.csrf;
        return request;
    },
});

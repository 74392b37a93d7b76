// Made by make-types.mjs from the API's description.

export interface paths {
    "/api/mcp/analytics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says how some days went. */
        get: {
            parameters: {
                query?: {
                    /** @description The first day, in UTC. */
                    start_date?: string;
                    /** @description The last day, in UTC; today if left out. */
                    end_date?: string;
                    /** @description How many days, where no first day is named; 30 if left out. */
                    days?: number;
                    /** @description Whether to compare them with as many days before; so it is if left out. */
                    compare?: boolean;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description How some days went */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Analytics"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/clients": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the clients that are here, the latest active first. */
        get: {
            parameters: {
                query?: {
                    /** @description Those active within the last minute, those silent for longer, or all, as when left out. */
                    status_filter?: "active" | "idle" | "all";
                    /** @description The `next_cursor` of the page before. */
                    cursor?: string;
                    /** @description Rows of a page. */
                    limit?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description Who is here */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Clients"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The cursor is of another list, or of another order */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/config": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Shows how this process is configured. It holds no secret, and no address of an upstream, which may hold one. */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description How it is configured */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ServiceConfig"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/errors": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists requests that went wrong, the latest first. */
        get: {
            parameters: {
                query?: {
                    /** @description Only requests that failed, only those not answered in time, or both, as when left out. */
                    severity?: "error" | "timeout" | "all";
                    /** @description Only this session's. */
                    session_id?: string;
                    /** @description The `next_cursor` of the page before. */
                    cursor?: string;
                    /** @description Rows of a page. */
                    limit?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description What went wrong */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Errors"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The cursor is of another list, or of another order */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says whether the service is well: 503 if its store is gone, with the reason. */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description It is well */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Health"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Its store is gone; calls go on */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Health"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Logs a browser in: a token for a cookie. */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Login"];
                };
            };
            responses: {
                /** @description Logged in; the cookie is HttpOnly and SameSite=Strict */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Me"];
                    };
                };
                /** @description The body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body did not arrive in time */
                408: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is too large */
                413: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is not declared to be JSON */
                415: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Logs a browser out. */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description Logged out, now or before */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["LoggedOut"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists tracked requests as lines of a log, the latest first. */
        get: {
            parameters: {
                query?: {
                    /** @description Only lines that matter so much; all if left out. */
                    level?: "info" | "warning" | "error" | "all";
                    /** @description Only lines whose method, tool or error contains this. */
                    search?: string;
                    /** @description Only this session's. */
                    session_id?: string;
                    /** @description The `next_cursor` of the page before: the way to go far back. */
                    cursor?: string;
                    /** @description Lines of a page. */
                    limit?: number;
                    /** @description Lines to leave out. */
                    offset?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description A page of the log */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Logs"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The cursor is of another list, or of another order */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says who the caller is. */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description What the caller may do */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Me"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/pricing": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists all prices. */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description All prices */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Pricing"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        /** Adds prices, or replaces those of the same provider, model and day: all of them or none. */
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewPricing"];
                };
            };
            responses: {
                /** @description All prices, the new ones included */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Pricing"];
                    };
                };
                /** @description The body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body did not arrive in time */
                408: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is too large */
                413: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is not declared to be JSON */
                415: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/refusals": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists requests that were turned away, the latest first: failed handshakes, unknown handles, bad credentials, what was
         *     too much. Those of one cause, upstream and address are counted together, minute by minute.
         */
        get: {
            parameters: {
                query?: {
                    /** @description Rows at most; 100 if left out. */
                    limit?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description Who was turned away, and why */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Refusals"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists sessions. */
        get: {
            parameters: {
                query?: {
                    /** @description Only sessions of this status. */
                    status?: "active" | "disconnected" | "expired" | "all";
                    /** @description Only clients of this type, in just these letters. */
                    client_type?: string;
                    /** @description Only this user's. */
                    user_id?: string;
                    /** @description Only sessions whose client or user is named like this, or whose id begins so. */
                    q?: string;
                    /**
                     * @description What they are ordered by. Where more than 5000 are active, the latest 5000 of them take part in an order by
                     *     what they used or by `duration`, and in one of active sessions by `client_type`.
                     */
                    sort?: "last_activity" | "connected_at" | "total_requests" | "total_errors" | "total_cost" | "duration" | "client_type";
                    /** @description Which way. */
                    order?: "desc" | "asc";
                    /** @description The `next_cursor` of the page before, asked for with the same order. */
                    cursor?: string;
                    /** @description Rows of a page. */
                    limit?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description A page of sessions */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Sessions"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The cursor is of another list, or of another order */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/disconnected": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the latest sessions that ended, and says what they have in common. */
        get: {
            parameters: {
                query?: {
                    /** @description Those of the last so many days; 7 if left out. */
                    days?: number;
                    /** @description How many are listed; 50 if left out. */
                    limit?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description Sessions that ended */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Disconnected"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Gives out sessions, requests and prices as JSON Lines: a head, the rows in the order of their ids, and an end that
         *     counts them. An export that fails has no end.
         */
        get: {
            parameters: {
                query?: {
                    /** @description Only sessions that were active since then, and their requests since then: a day or a moment. */
                    since?: string;
                    /** @description Only this session. */
                    session_id?: string;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description The lines */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/jsonl": string;
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says how sessions are as a whole. */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description How sessions are */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SessionsHealth"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Takes in what an export gave out. What is there already stays as it is, so the same file twice changes nothing, and
         *     one that was not taken in to its end is completed by taking it in again.
         */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/jsonl": string;
                };
            };
            responses: {
                /** @description What became of it */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Imported"];
                    };
                };
                /** @description The body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body did not arrive in time */
                408: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is too large */
                413: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is not declared to be JSON */
                415: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/{session_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Shows a session with its requests. */
        get: {
            parameters: {
                query?: {
                    /** @description The `next_cursor` of the page before, for earlier requests. */
                    cursor?: string;
                    /** @description Requests of a page; 100 if left out. */
                    limit?: number;
                };
                header?: never;
                path: {
                    /** @description Which session */
                    session_id: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description The session */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SessionPage"];
                    };
                };
                /** @description The session has ended, or the body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description There is no such session */
                404: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The cursor is of another list, or of another order */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        /** Ends a session. When this is answered the end is durable. */
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path: {
                    /** @description Which session */
                    session_id: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description It has ended */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Ended"];
                    };
                };
                /** @description The session has ended, or the body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description There is no such session */
                404: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session has ended already */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/{session_id}/disconnect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends a session for a reason. When this is answered the end is durable. */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path: {
                    /** @description Which session */
                    session_id: string;
                };
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Disconnect"];
                };
            };
            responses: {
                /** @description It has ended */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Ended"];
                    };
                };
                /** @description The session has ended, or the body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description There is no such session */
                404: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body did not arrive in time */
                408: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session has ended already */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is too large */
                413: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is not declared to be JSON */
                415: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/{session_id}/heartbeat": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** A sign of life of a session. For its own client, which shows its `X-Archon-Session-Id`, and for operators. */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path: {
                    /** @description Which session */
                    session_id: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description It lives */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Heartbeat"];
                    };
                };
                /** @description The session has ended, or the body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description There is no such session */
                404: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session has ended already */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/{session_id}/reconnect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Gives a session back to who shows its token. The token is the proof: no API token is needed. */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path: {
                    /** @description Which session */
                    session_id: string;
                };
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Reconnect"];
                };
            };
            responses: {
                /** @description The session, and the next token */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Reconnected"];
                    };
                };
                /** @description The session has ended, or the body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description There is no such session */
                404: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body did not arrive in time */
                408: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session has ended already */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is too large */
                413: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The body is not declared to be JSON */
                415: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/sessions/{session_id}/token": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Issues a reconnect token. For the session's own client, which shows its
         *     `X-Archon-Session-Id` and its cookie or client key, and for operators.
         */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path: {
                    /** @description Which session */
                    session_id: string;
                };
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description A token that works once */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Token"];
                    };
                };
                /** @description The session has ended, or the body is not JSON */
                400: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description There is no such session */
                404: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session has ended already */
                409: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says how this process runs. */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description How it runs */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ServiceStatus"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/usage/minutes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says how many requests arrived in each of the last minutes. */
        get: {
            parameters: {
                query?: {
                    /** @description How many, the present one included; 60 if left out. */
                    minutes?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description The last minutes */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["UsageMinutes"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/mcp/usage/summary": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Says what was used on some days. */
        get: {
            parameters: {
                query?: {
                    /** @description The first day, in UTC. */
                    start_date?: string;
                    /** @description The last day, in UTC; today if left out. */
                    end_date?: string;
                    /** @description How many days, where no first day is named; 30 if left out. */
                    days?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description What was used */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["UsageSummary"];
                    };
                };
                /** @description Who are you? */
                401: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Not for you, or from a page elsewhere */
                403: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description A parameter or the body is wrong; it is named */
                422: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description Too many tries; Retry-After says when to go on */
                429: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
                /** @description The session store cannot be asked right now */
                503: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Problem"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Active sessions by the time since their last activity. */
        AgeDistribution: {
            /**
             * Format: int64
             * @description Five to ten minutes.
             */
            aging: number;
            /**
             * Format: int64
             * @description Under five minutes.
             */
            healthy: number;
            /**
             * Format: int64
             * @description Over ten minutes.
             */
            stale: number;
        };
        /** @description A period, and how it compares with the one before. */
        Analytics: {
            comparison: components["schemas"]["Comparison"] | null;
            /** @description Which. */
            period: components["schemas"]["Period"];
            /** @description How requests ended. */
            ratios: components["schemas"]["Ratios"];
            /** @description How long answers took. */
            response_times: components["schemas"]["ResponseTimes"];
            /** @description How it went. */
            trends: components["schemas"]["Trends"];
        };
        /** @description An attempt to take a session back: a row of `archon_mcp_reconnect_attempts`. */
        Attempt: {
            /** @description From which address, where that is known. */
            peer: string | null;
            /** @description Who tried: `issuer#subject`, or `anonymous`. */
            principal: string;
            /**
             * @description How it ended: `reconnected`, `token_expired`, `invalid_token`, `session_id_mismatch`, `token_mismatch`,
             *     `session_not_found`, `session_already_disconnected` or `rate_limited`.
             */
            result: string;
            /**
             * Format: date-time
             * @description When.
             */
            timestamp: string;
        };
        /** @description A session before or after another. */
        ChainedSession: {
            /**
             * Format: date-time
             * @description When it began.
             */
            connected_at: string;
            /** @description Why it ended. */
            disconnect_reason: string | null;
            /**
             * Format: date-time
             * @description When it ended; `null` while it is present.
             */
            disconnected_at: string | null;
            /**
             * Format: uuid
             * @description Which.
             */
            session_id: string;
        };
        /** @description A figure against the one before it. */
        Change: {
            /**
             * Format: double
             * @description By how much it changed, two decimals; `null` where there was nothing before.
             */
            change_percent: number | null;
            /**
             * Format: double
             * @description In this period.
             */
            current: number;
            /**
             * Format: double
             * @description In the one before.
             */
            previous: number;
        };
        /** @description A client that is here. */
        Client: {
            /** @description The name that it sent. */
            client_name: string | null;
            /** @description Its known product name, or its own. */
            client_type: string;
            /** @description The version that it sent. */
            client_version: string | null;
            /**
             * Format: date-time
             * @description When it came.
             */
            connected_at: string;
            /** @description `legacy` or `modern`. */
            era: string;
            /**
             * Format: int64
             * @description Since then.
             */
            idle_seconds: number;
            /**
             * Format: date-time
             * @description The latest sign of life.
             */
            last_activity: string;
            /**
             * Format: uuid
             * @description Its session.
             */
            session_id: string;
            /** @description Whether it does something. */
            status: components["schemas"]["ClientStatus"];
            /**
             * Format: int64
             * @description Tokens that came back.
             */
            total_completion_tokens: number;
            /**
             * Format: double
             * @description Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
             *     price.
             */
            total_cost: number;
            /**
             * Format: int64
             * @description How many of them failed or were not answered in time.
             */
            total_errors: number;
            /**
             * Format: int64
             * @description Tokens that it sent.
             */
            total_prompt_tokens: number;
            /**
             * Format: int64
             * @description How many requests it made.
             */
            total_requests: number;
            /** @description The upstreams that it used, in the order in which it came to them; the first eight. */
            upstreams: string[];
            /** @description Whose client it is, where somebody authenticated. */
            user_id: string | null;
        };
        /**
         * @description Whether a client that is here does something.
         * @enum {string}
         */
        ClientStatus: "active" | "idle";
        /** @description `GET /api/mcp/clients` */
        Clients: {
            /** @description Those that were asked for, the latest active first. */
            clients: components["schemas"]["Client"][];
            /** @description What to send as `cursor` for the next page; `null` on the last. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description How many there are.
             */
            total: number;
        };
        /** @description A period against the one before it. */
        Comparison: {
            /** @description In dollars. */
            cost: components["schemas"]["Change"];
            /** @description How many. */
            requests: components["schemas"]["Change"];
            /** @description Percentage answered with a result. */
            success_rate: components["schemas"]["Change"];
            /** @description Both ways. */
            tokens: components["schemas"]["Change"];
        };
        /** @description Sessions that began in the last 24 hours. */
        ConnectionHealth: {
            /**
             * Format: int64
             * @description How long they lasted on average; an active one counts up to now.
             */
            avg_duration_seconds: number;
            /**
             * Format: double
             * @description Percentage that has ended, one decimal.
             */
            disconnect_rate_percent: number;
            /**
             * Format: double
             * @description Sessions an hour, two decimals.
             */
            sessions_per_hour: number;
            /**
             * Format: int64
             * @description How many.
             */
            total_sessions_24h: number;
        };
        /** @description A day. */
        Daily: {
            /**
             * Format: double
             * @description In dollars.
             */
            cost: number;
            /**
             * Format: date
             * @description Which.
             */
            date: string;
            /**
             * Format: int64
             * @description Requests.
             */
            requests: number;
            /**
             * Format: double
             * @description Percentage answered with a result, two decimals.
             */
            success_rate: number;
            /**
             * Format: int64
             * @description Tokens, both ways.
             */
            tokens: number;
        };
        /** @description `POST /api/mcp/sessions/{id}/disconnect` */
        Disconnect: {
            /** @default null */
            reason: components["schemas"]["EndReason"] | null;
        };
        /** @description Ends in a period. */
        DisconnectStatistics: {
            /**
             * Format: int64
             * @description How long they lasted on average.
             */
            avg_duration_seconds: number;
            /** @description How many for each reason. */
            disconnect_reasons: {
                [key: string]: number;
            };
            /**
             * Format: int64
             * @description The longest.
             */
            max_duration_seconds: number;
            /**
             * Format: int64
             * @description The shortest.
             */
            min_duration_seconds: number;
            /**
             * Format: int64
             * @description How many.
             */
            total_disconnected: number;
        };
        /** @description `GET /api/mcp/sessions/disconnected` */
        Disconnected: {
            /** @description Which period that is. */
            period: components["schemas"]["Period"];
            /** @description The latest that ended. */
            sessions: components["schemas"]["StoredSession"][];
            /** @description All that ended in the period. */
            statistics: components["schemas"]["DisconnectStatistics"];
        };
        /**
         * @description Why somebody ends a session by hand.
         * @enum {string}
         */
        EndReason: "operator" | "client_disconnect" | "error" | "server_shutdown";
        /** @description The answer to an end by hand. The end is durable. */
        Ended: {
            /** @description Why. */
            disconnect_reason: string;
            /**
             * Format: date-time
             * @description When.
             */
            disconnected_at: string;
            /** @description What happened, for people. */
            message: string;
            /**
             * Format: uuid
             * @description Which session.
             */
            session_id: string;
            /** @description Always true. */
            success: boolean;
            /**
             * Format: int64
             * @description Seconds from its start to its end.
             */
            total_duration: number;
        };
        /** @description How much goes wrong. */
        ErrorSummary: {
            /**
             * Format: int64
             * @description Answered with an error.
             */
            error_count: number;
            /**
             * Format: double
             * @description Both, of all requests, two decimals.
             */
            error_rate_percent: number;
            /**
             * Format: date-time
             * @description When that happened last.
             */
            last_error_at: string | null;
            /**
             * Format: int64
             * @description Not answered in time.
             */
            timeout_count: number;
        };
        /** @description Requests that went wrong, the latest first. */
        Errors: {
            /** @description One page of those that were asked for. */
            errors: components["schemas"]["LogEntry"][];
            /** @description What to send as `cursor` for earlier ones; `null` on the last page. */
            next_cursor: string | null;
            /** @description All failures of the session that was asked for, or of all, whatever the severity. */
            summary: components["schemas"]["ErrorSummary"];
            /**
             * Format: int64
             * @description How many there are of those that were asked for.
             */
            total: number;
            /** @description False where there are more than `total` says: it was not worth counting on. */
            total_is_exact: boolean;
        };
        /** @description A frame: `{type, seq, session_id?, data, timestamp}`. */
        Frame: components["schemas"]["FrameData"] & {
            /**
             * Format: int64
             * @description Its number, to be sent as `since` by who comes back. A frame that is no event carries that of the latest event.
             */
            seq: number;
            /**
             * Format: uuid
             * @description Whom it is about, where it is about one session.
             */
            session_id?: string | null;
            /**
             * Format: date-time
             * @description When it happened.
             */
            timestamp: string;
        };
        /** @description What happened. */
        FrameData: {
            /** @description How things are; the first frame. */
            data: components["schemas"]["Snapshot"];
            /** @enum {string} */
            type: "snapshot";
        } | {
            /** @description Events were missed: how things are now. */
            data: components["schemas"]["Snapshot"];
            /** @enum {string} */
            type: "resync";
        } | {
            /** @description A session began. */
            data: components["schemas"]["Session"];
            /** @enum {string} */
            type: "session_created";
        } | {
            /** @description A session shows a sign of life; at most one a second for each. */
            data: components["schemas"]["SessionUpdate"];
            /** @enum {string} */
            type: "session_updated";
        } | {
            /** @description A session ended. */
            data: components["schemas"]["SessionDisconnect"];
            /** @enum {string} */
            type: "session_disconnected";
        } | {
            /** @description A client took its session back. */
            data: components["schemas"]["SessionReconnect"];
            /** @enum {string} */
            type: "session_reconnected";
        } | {
            /** @description A call has ended. */
            data: components["schemas"]["Request"];
            /** @enum {string} */
            type: "request";
        } | {
            /** @description How sessions are, every five seconds. */
            data: components["schemas"]["SessionsHealth"];
            /** @enum {string} */
            type: "health_update";
        };
        /** @description `GET /health` */
        Health: {
            /**
             * Format: int64
             * @description Rows that could not wait any longer.
             */
            dropped_rows?: number | null;
            /**
             * Format: int64
             * @description Rows in a database file that was removed while it was open.
             */
            lost_rows?: number | null;
            /**
             * Format: int64
             * @description Rows that wait to be written; said once something went wrong.
             */
            queued_rows?: number | null;
            /** @description Why it is not healthy. */
            reason?: string | null;
            /** @description Always `mcp`. */
            service: string;
            /** @description `healthy` or `unhealthy`. */
            status: string;
            /**
             * Format: int64
             * @description Rows written with SQL that cannot be read; they are in no list and no sum until somebody corrects them.
             */
            unreadable_rows?: number | null;
            /** @description The upstreams that did not answer last; calls to others go on. */
            upstreams_down?: string[];
        };
        /** @description `POST /api/mcp/sessions/{id}/heartbeat` */
        Heartbeat: {
            /**
             * Format: date-time
             * @description When it ends if nothing more is heard of it.
             */
            expires_at: string;
            /**
             * Format: date-time
             * @description Now.
             */
            last_activity: string;
            /**
             * Format: uuid
             * @description Which session.
             */
            session_id: string;
            /** @description Always true. */
            success: boolean;
        };
        /** @description An hour of the day. */
        Hourly: {
            /**
             * Format: double
             * @description Milliseconds.
             */
            avg_duration: number;
            /**
             * Format: int32
             * @description 0 to 23, in UTC.
             */
            hour: number;
            /**
             * Format: int64
             * @description Requests.
             */
            requests: number;
        };
        /** @description `POST /api/mcp/sessions/import` */
        Imported: {
            /**
             * Format: int64
             * @description Requests that were there.
             */
            known_requests: number;
            /**
             * Format: int64
             * @description Sessions that were there, and stay as they are.
             */
            known_sessions: number;
            /**
             * Format: int64
             * @description Prices that are new or have changed.
             */
            prices: number;
            /**
             * Format: int64
             * @description Requests that are new.
             */
            requests: number;
            /**
             * Format: int64
             * @description Requests that were left out, since their session is neither there nor in the file before them.
             */
            requests_without_session: number;
            /**
             * Format: int64
             * @description Sessions that are new.
             */
            sessions: number;
            /** @description Always true: what fails is answered with an error. */
            success: boolean;
        };
        /**
         * @description How much a line matters.
         * @enum {string}
         */
        Level: "info" | "warning" | "error";
        /** @description A line. */
        LogEntry: components["schemas"]["Request"] & {
            /** @description The type of its client. */
            client_type: string | null;
            /** @description How much it matters. */
            level: components["schemas"]["Level"];
            /** @description What happened, for people. */
            message: string;
        };
        /** @description A line of the log. */
        LogLine: {
            /** @description `WARN` or `ERROR`. */
            level: string;
            /** @description What it says. */
            message: string;
            /**
             * Format: date-time
             * @description When.
             */
            timestamp: string;
        };
        /** @description `POST /api/mcp/logout` */
        LoggedOut: {
            /** @description Always true: who was not logged in is logged out. */
            success: boolean;
        };
        /** @description `POST /api/mcp/login` */
        Login: {
            /** @description The API token. */
            token: string;
        };
        /** @description A page of it, the latest first. */
        Logs: {
            /** @description The lines. */
            logs: components["schemas"]["LogEntry"][];
            /** @description Where this page is. */
            pagination: components["schemas"]["Pagination"];
        };
        /** @description `GET /api/mcp/me`, and the answer to a login. */
        Me: {
            /** @description Whether this API requires a token at all. */
            auth_required: boolean;
            /** @description The name of the caller's token; `null` without one. */
            name: string | null;
            role: components["schemas"]["Role"] | null;
        };
        /** @description `PUT /api/mcp/pricing`: each price is added, or replaces that of the same model and day. */
        NewPricing: {
            /** @description Prices to add or replace. */
            pricing: components["schemas"]["Price"][];
        };
        /**
         * @description How a request ended.
         * @enum {string}
         */
        Outcome: "success" | "error" | "timeout";
        /** @description Where a page is. */
        Pagination: {
            /** @description Whether there are more. */
            has_more: boolean;
            /**
             * Format: int32
             * @description Lines of a page.
             */
            limit: number;
            /** @description What to send as `cursor` for the next page; `null` on the last. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Lines before this page.
             */
            offset: number;
            /**
             * Format: date-time
             * @description How far back was looked when time was up before the page was full: `next_cursor` goes on there. `null` where the
             *     page is full, or all was looked at.
             */
            searched_back_to: string | null;
            /**
             * Format: int64
             * @description Lines in all.
             */
            total: number;
            /** @description False where there are more than `total` says: it was not worth counting on. */
            total_is_exact: boolean;
        };
        /** @description From when to when. */
        Period: {
            /**
             * Format: int32
             * @description How many days that is; the first and the last may be parts of one.
             */
            days: number;
            /**
             * Format: date-time
             * @description Up to this one.
             */
            end_date: string;
            /**
             * Format: date-time
             * @description From this moment on.
             */
            start_date: string;
        };
        /**
         * @description The price of a model from a day on: a row of `archon_llm_pricing`. Each price can be given per million tokens or per
         *     thousand; answers have both.
         */
        Price: {
            /**
             * Format: date
             * @description From this day on; today if left out.
             */
            effective_date?: string | null;
            /**
             * Format: double
             * @description The input price per thousand tokens; ignored where there is one per million.
             */
            input_price_per_1k?: number | null;
            /**
             * Format: double
             * @description Dollars per million tokens that the model reads: of what tools return.
             */
            input_price_per_million?: number | null;
            /** @description The model. */
            model_name: string;
            /**
             * Format: double
             * @description The output price per thousand tokens; ignored where there is one per million.
             */
            output_price_per_1k?: number | null;
            /**
             * Format: double
             * @description Dollars per million tokens that the model writes: of what tools are called with.
             */
            output_price_per_million?: number | null;
            /** @description Who sells it. */
            provider: string;
        };
        /** @description All prices. */
        Pricing: {
            /** @description What they are for. */
            note: string;
            /** @description Each. */
            pricing: components["schemas"]["Price"][];
            /**
             * Format: int64
             * @description How many.
             */
            total: number;
        };
        /** @description What went wrong and what to do next. */
        Problem: {
            /** @description What went wrong, for programs: `session_not_found`, for example. */
            code: string;
            /** @description What went wrong, for people. */
            detail: string;
            /** @description What to do next. */
            hint: string;
        };
        /** @description How requests ended. */
        Ratios: {
            /**
             * Format: int64
             * @description Answered with an error.
             */
            error: number;
            /**
             * Format: int64
             * @description Answered with a result.
             */
            success: number;
            /**
             * Format: double
             * @description Percentage answered with a result, two decimals.
             */
            success_rate: number;
            /**
             * Format: int64
             * @description Not answered in time.
             */
            timeout: number;
        };
        /** @description One of the latest sessions. */
        RecentActivity: {
            /**
             * Format: int64
             * @description Minutes since its last activity.
             */
            age_minutes: number;
            /** @description The client's known product name, or its own. */
            client_type: string;
            /**
             * Format: uuid
             * @description Which.
             */
            session_id: string;
            /** @description Whether it is present. */
            status: components["schemas"]["Status"];
            /**
             * Format: int64
             * @description Minutes from its start to its end, or to now.
             */
            uptime_minutes: number;
        };
        /** @description `POST /api/mcp/sessions/{id}/reconnect` */
        Reconnect: {
            /** @description The token. */
            token: string;
        };
        /** @description The answer to it. */
        Reconnected: {
            /** @description What happened, for people. */
            message: string;
            /**
             * Format: int64
             * @description How often this session was reconnected.
             */
            reconnect_count: number;
            /** @description The next token. */
            reconnect_token: string;
            /**
             * Format: uuid
             * @description Which session.
             */
            session_id: string;
            /** @description Always true. */
            success: boolean;
        };
        /** @description Requests of one minute that were turned away for one cause: a row of `archon_mcp_refusals`. */
        Refusal: {
            /** @description Why: `handshake_refused`, `unknown_session`, `bad_credentials` or `rate_limited`, for example. */
            cause: string;
            /** @description What the sender of the first calls itself: its client's name, or its user agent. */
            client: string | null;
            /**
             * Format: int64
             * @description How many there were.
             */
            count: number;
            /** @description What the first of them was told. */
            detail: string;
            /**
             * Format: date-time
             * @description When the last of them came.
             */
            last_at: string;
            /**
             * Format: date-time
             * @description When that minute began.
             */
            minute: string;
            /** @description From which address, where that is known; an IPv6 address stands for the 64 bits of its network. */
            peer: string | null;
            /** @description Who sent the first of them: `issuer#subject`, or `anonymous`. */
            principal: string;
            /** @description Where they came to; `null` for the API's port. */
            upstream: string | null;
        };
        /** @description Requests that were turned away, the latest first. */
        Refusals: {
            /** @description A row for each cause, upstream and address in a minute. */
            refusals: components["schemas"]["Refusal"][];
        };
        /** @description A tracked request: a row of `archon_mcp_requests`. */
        Request: {
            /**
             * Format: int64
             * @description Estimated tokens that came back.
             */
            completion_tokens: number;
            /**
             * Format: int64
             * @description How long its answer took.
             */
            duration_ms: number;
            /**
             * Format: int64
             * @description The same, finer.
             */
            duration_us: number;
            /** @description What went wrong. */
            error_message: string | null;
            /**
             * Format: double
             * @description In dollars: what the client sent at the model's output price, for a model wrote it; what came back at its input
             *     price, for a model reads it. Where the service said what it used itself, that counts.
             */
            estimated_cost: number;
            /**
             * Format: int64
             * @description Its number; `null` in a live event, before it is stored.
             */
            id: number | null;
            /** @description The JSON-RPC method. */
            method: string;
            /** @description The model whose price was used. */
            model: string | null;
            /**
             * Format: int64
             * @description Estimated tokens that the client sent.
             */
            prompt_tokens: number;
            /**
             * Format: int64
             * @description Size of its body.
             */
            request_bytes: number;
            /**
             * Format: int64
             * @description Size of what was sent in answer.
             */
            response_bytes: number;
            /**
             * Format: uuid
             * @description Whose request.
             */
            session_id: string;
            /** @description How it ended. */
            status: components["schemas"]["Outcome"];
            /**
             * Format: date-time
             * @description When it arrived.
             */
            timestamp: string;
            /** @description The tool, where one was called. */
            tool_name: string | null;
            /** @description The upstream it went to. */
            upstream: string;
        };
        /** @description How long requests took, in milliseconds. Percentiles are of those that were answered. */
        ResponseTimes: {
            /** @description By tool. */
            by_tool: components["schemas"]["ToolTimes"][];
            /**
             * Format: double
             * @description On average.
             */
            overall_avg: number;
            /**
             * Format: double
             * @description Half of the answers took at most this long.
             */
            p50: number;
            /**
             * Format: double
             * @description 95 of 100 answers took at most this long.
             */
            p95: number;
            /**
             * Format: double
             * @description 99 of 100 answers took at most this long.
             */
            p99: number;
        };
        /**
         * @description What somebody may do.
         * @enum {string}
         */
        Role: "viewer" | "operator";
        /** @description `GET /api/mcp/config`: what a client or an operator may want to know, and no secret. */
        ServiceConfig: {
            /**
             * Format: int32
             * @description The port of this API.
             */
            api_port: number;
            /** @description Whether this API requires a token. */
            auth_required: boolean;
            /**
             * Format: int64
             * @description Seconds that a call may go without a sign of its answer.
             */
            call_timeout_seconds: number;
            /** @description What sessions are kept in: `sqlite`, `postgres` or `memory`. */
            database: string;
            /** @description `relaxed` or `strict`. */
            durability: string;
            /** @description Where the MCP endpoint listens. */
            host: string;
            /** @description Its path. */
            path: string;
            /**
             * Format: int32
             * @description Its port.
             */
            port: number;
            /** @description The model whose price estimates costs. */
            pricing_model: string | null;
            /**
             * Format: int64
             * @description Seconds between two looks of the reaper.
             */
            reap_every_seconds: number;
            /**
             * Format: int64
             * @description Seconds that a handle is good after an idle timeout.
             */
            resume_window_seconds: number;
            /**
             * Format: int64
             * @description Seconds that a session may be silent.
             */
            session_timeout: number;
            /** @description Always `streamable-http`. */
            transport: string;
            /** @description Upstreams, the default one first. */
            upstreams: components["schemas"]["UpstreamConfig"][];
        };
        /** @description `GET /api/mcp/status` */
        ServiceStatus: {
            /**
             * Format: int64
             * @description Sessions that are present on this gateway.
             */
            active_sessions: number;
            /** @description The latest warnings and errors of this process, oldest first. */
            logs: components["schemas"]["LogLine"][];
            /** @description Always `running`. */
            status: string;
            /** @description Whether the session store works. */
            store: components["schemas"]["StoreStatus"];
            /** @description Upstreams by name. */
            upstreams: {
                [key: string]: components["schemas"]["UpstreamStatus"];
            };
            /**
             * Format: int64
             * @description Seconds since the start.
             */
            uptime: number;
            /** @description Its version. */
            version: string;
        };
        /** @description A session: a row of `archon_mcp_sessions`. */
        Session: {
            /** @description The capabilities that the client sent. */
            client_capabilities: Record<string, never> | null;
            /** @description The name that the client sent. */
            client_name: string | null;
            /** @description The client's known product name, or its own. */
            client_type: string;
            /** @description The version that the client sent. */
            client_version: string | null;
            /**
             * Format: date-time
             * @description When it began.
             */
            connected_at: string;
            /**
             * Format: uuid
             * @description The session that it goes on from.
             */
            continues: string | null;
            /** @description Why it ended: `timeout_no_activity`, `client_disconnect`, `error`, `operator`, `server_shutdown`. */
            disconnect_reason: string | null;
            /**
             * Format: date-time
             * @description When it ended.
             */
            disconnected_at: string | null;
            /** @description `legacy` or `modern`. */
            era: string;
            /**
             * Format: date-time
             * @description When it ends if nothing more is heard of it; `null` once it has ended.
             */
            expires_at: string | null;
            /**
             * Format: int64
             * @description How long it may be silent.
             */
            idle_timeout_seconds: number;
            /**
             * Format: date-time
             * @description The latest sign of life.
             */
            last_activity: string;
            /** @description What else is kept with it. */
            metadata: Record<string, never> | null;
            /** @description Who authenticated: `issuer#subject`, or `anonymous`. */
            principal: string;
            /** @description The protocol version in force when it began. */
            protocol_version: string;
            /**
             * Format: int64
             * @description How often its client took it back with a reconnect token.
             */
            reconnect_count: number;
            /**
             * Format: uuid
             * @description Its id: `X-Archon-Session-Id`.
             */
            session_id: string;
            /** @description Whether it is present. */
            status: components["schemas"]["Status"];
            /**
             * Format: int64
             * @description Seconds from its start to its end.
             */
            total_duration: number | null;
            /** @description That user's e-mail address. */
            user_email: string | null;
            /** @description Whose client it is, where somebody authenticated. */
            user_id: string | null;
            /** @description That user's name. */
            user_name: string | null;
        };
        /** @description What was before and after a session, each way the nearest first. */
        SessionChain: {
            /** @description Those that go on from it; of several that continue the same one, the first. */
            after: components["schemas"]["ChainedSession"][];
            /** @description The sessions that it goes on from. */
            before: components["schemas"]["ChainedSession"][];
        };
        /** @description An end. */
        SessionDisconnect: {
            /** @description Why, in the words of `disconnect_reason`. */
            reason: string;
            /**
             * Format: int64
             * @description Seconds from the session's start to its end.
             */
            total_duration: number;
        };
        /** @description `GET /api/mcp/sessions/{id}` */
        SessionPage: {
            /** @description All of these, as far as twenty each way. */
            chain: components["schemas"]["SessionChain"];
            /**
             * Format: uuid
             * @description The session that goes on from it.
             */
            continued_by: string | null;
            /**
             * Format: uuid
             * @description The session that it goes on from.
             */
            continues: string | null;
            /**
             * @description Whether its calls run without the upstream state of those before: its client speaks another era than the upstream
             *     and shows no proof that it is the same. Known while the session is present.
             */
            loses_state: boolean;
            /** @description What to send as `cursor` for earlier requests; `null` on the last page. */
            next_cursor: string | null;
            /**
             * @description The latest reconnect attempts, the latest first and at most fifty. They are kept for thirty
             *     days at most.
             */
            reconnect_attempts: components["schemas"]["Attempt"][];
            /** @description A page of its requests, the latest first. */
            requests: components["schemas"]["Request"][];
            /** @description The session. */
            session: components["schemas"]["Session"];
            /** @description All of its requests together. */
            summary: components["schemas"]["SessionSummary"];
            /** @description The upstreams that it used, in the order in which it came to them; the first eight. */
            upstreams: string[];
        };
        /** @description A reconnect. */
        SessionReconnect: {
            /**
             * Format: int64
             * @description How often this session was reconnected.
             */
            reconnect_count: number;
        };
        /** @description A session's requests together. */
        SessionSummary: {
            /**
             * Format: int64
             * @description Tokens that came back.
             */
            total_completion_tokens: number;
            /**
             * Format: double
             * @description Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
             *     price.
             */
            total_cost: number;
            /**
             * Format: int64
             * @description How many of them failed or were not answered in time.
             */
            total_errors: number;
            /**
             * Format: int64
             * @description Tokens that the client sent.
             */
            total_prompt_tokens: number;
            /**
             * Format: int64
             * @description How many.
             */
            total_requests: number;
            /**
             * Format: int64
             * @description Both.
             */
            total_tokens: number;
        };
        /** @description A sign of life. */
        SessionUpdate: {
            /**
             * Format: date-time
             * @description When.
             */
            last_activity: string;
            /** @description What it was. */
            update_type: components["schemas"]["UpdateType"];
        };
        /** @description `GET /api/mcp/sessions` */
        Sessions: {
            /**
             * Format: int64
             * @description How many are present on this gateway.
             */
            active_sessions: number;
            /** @description What to send as `cursor` for the next page; `null` on the last. */
            next_cursor: string | null;
            /**
             * Format: int64
             * @description Since this gateway started.
             */
            server_uptime_seconds: number;
            /**
             * Format: int64
             * @description Seconds that a session may be silent, unless a rule or its client says otherwise.
             */
            session_timeout: number;
            /** @description One page of those that were asked for. */
            sessions: components["schemas"]["StoredSession"][];
            /**
             * Format: int64
             * @description How many there are of those that were asked for.
             */
            total: number;
            /** @description False where there are more than `total` says: it was not worth counting on. */
            total_is_exact: boolean;
        };
        /** @description `GET /api/mcp/sessions/health` */
        SessionsHealth: {
            /** @description Active sessions by the time since their last activity. */
            age_distribution: components["schemas"]["AgeDistribution"];
            /** @description Sessions that began in the last 24 hours. */
            connection_health: components["schemas"]["ConnectionHealth"];
            /** @description The latest ten. */
            recent_activity: components["schemas"]["RecentActivity"][];
            /** @description Sessions of all times by status. */
            status_breakdown: components["schemas"]["StatusBreakdown"];
            /**
             * Format: date-time
             * @description When this was so.
             */
            timestamp: string;
        };
        /** @description How things are. */
        Snapshot: {
            /**
             * Format: int64
             * @description Which process numbers these events: to be sent back as `epoch` beside `since`.
             */
            epoch: number;
            /** @description As in `GET /api/mcp/sessions/health`. */
            health: components["schemas"]["SessionsHealth"];
            /** @description Active sessions, the latest active first; not all where there are many. */
            sessions: components["schemas"]["Session"][];
            /**
             * Format: int64
             * @description How many are active.
             */
            total: number;
        };
        /**
         * @description Whether a session is present.
         * @enum {string}
         */
        Status: "active" | "disconnected" | "expired";
        /** @description Sessions by status. */
        StatusBreakdown: {
            /**
             * Format: int64
             * @description Present.
             */
            active: number;
            /**
             * Format: int64
             * @description Ended.
             */
            disconnected: number;
            /**
             * Format: int64
             * @description All.
             */
            total: number;
        };
        /** @description The session store. */
        StoreStatus: {
            /**
             * Format: int64
             * @description Rows that could not wait any longer.
             */
            dropped_rows: number;
            /**
             * Format: int64
             * @description Rows in a database file that was removed while it was open.
             */
            lost_rows: number;
            /**
             * Format: int64
             * @description Rows that wait to be written.
             */
            queued_rows: number;
            /** @description Why it is not healthy. */
            reason: string | null;
            /** @description `healthy` or `unhealthy`. */
            status: string;
        };
        /** @description A session as it is stored, with what it has used so far: calls that are not over yet are not in it. */
        StoredSession: components["schemas"]["Session"] & {
            /**
             * Format: int64
             * @description Tokens that came back.
             */
            total_completion_tokens: number;
            /**
             * Format: double
             * @description Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
             *     price.
             */
            total_cost: number;
            /**
             * Format: int64
             * @description How many of them failed or were not answered in time.
             */
            total_errors: number;
            /**
             * Format: int64
             * @description Tokens that the client sent.
             */
            total_prompt_tokens: number;
            /**
             * Format: int64
             * @description How many requests it made.
             */
            total_requests: number;
            /** @description The upstreams that it used, in the order in which it came to them; the first eight. */
            upstreams: string[];
        };
        /** @description `GET /api/mcp/sessions/{id}/token` */
        Token: {
            /**
             * Format: int64
             * @description For how long it works.
             */
            expires_in_minutes: number;
            /** @description The token; it works once. */
            reconnect_token: string;
            /**
             * Format: uuid
             * @description Which session.
             */
            session_id: string;
        };
        /** @description How long a tool's requests took, in milliseconds. Percentiles are of those that were answered, 0 where none was. */
        ToolTimes: {
            /**
             * Format: double
             * @description On average.
             */
            avg_ms: number;
            /**
             * Format: int64
             * @description How many.
             */
            count: number;
            /**
             * Format: double
             * @description Percentage of both, two decimals.
             */
            error_rate_percent: number;
            /**
             * Format: int64
             * @description How many of them ended with an error.
             */
            errors: number;
            /**
             * Format: double
             * @description The longest.
             */
            max_ms: number;
            /**
             * Format: double
             * @description The shortest.
             */
            min_ms: number;
            /**
             * Format: double
             * @description Half of the answers took at most this long.
             */
            p50: number;
            /**
             * Format: double
             * @description 95 of 100 answers took at most this long.
             */
            p95: number;
            /**
             * Format: double
             * @description 99 of 100 answers took at most this long.
             */
            p99: number;
            /**
             * Format: int64
             * @description How many were not answered in time.
             */
            timeouts: number;
            /** @description Which. */
            tool: string;
            /** @description The upstream that has it; `null` where that is not known. */
            upstream: string | null;
        };
        /** @description What was used of a tool. */
        ToolUsage: {
            /**
             * Format: double
             * @description In dollars.
             */
            cost: number;
            /**
             * Format: int64
             * @description Requests.
             */
            count: number;
            /**
             * Format: int64
             * @description Requests that ended with an error.
             */
            errors: number;
            /**
             * Format: int64
             * @description Requests that were not answered in time.
             */
            timeouts: number;
            /**
             * Format: int64
             * @description Tokens, both ways.
             */
            tokens: number;
            /** @description The tool. */
            tool: string;
            /** @description The upstream that has it; `null` where that is not known. */
            upstream: string | null;
        };
        /** @description Requests by time. */
        Trends: {
            /** @description Each day in UTC that had requests. */
            daily: components["schemas"]["Daily"][];
            /** @description Each hour of the day in UTC, all days together. */
            hourly: components["schemas"]["Hourly"][];
        };
        /**
         * @description What a sign of life was.
         * @enum {string}
         */
        UpdateType: "heartbeat" | "tool_call" | "request";
        /** @description An upstream as it is configured. */
        UpstreamConfig: {
            /** @description `http`, `stdio` or `demo`. */
            kind: string;
            /** @description Its name. */
            name: string;
            /** @description Its path on the MCP port. */
            path: string;
        };
        /** @description An upstream. */
        UpstreamStatus: {
            /**
             * Format: int64
             * @description Processes that run its command; `null` for one that is reached over HTTP.
             */
            children: number | null;
            /** @description `up`, `down` or `unknown`, by what happened last. */
            status: string;
        };
        /** @description A part of it. */
        Usage: {
            /**
             * Format: double
             * @description In dollars.
             */
            cost: number;
            /**
             * Format: int64
             * @description Requests.
             */
            count: number;
            /**
             * Format: int64
             * @description Requests that ended with an error.
             */
            errors: number;
            /**
             * Format: int64
             * @description Requests that were not answered in time.
             */
            timeouts: number;
            /**
             * Format: int64
             * @description Tokens, both ways.
             */
            tokens: number;
        };
        /**
         * @description The requests that arrived in a minute, at whichever gateway of the database; calls that are not over yet are not in
         *     it, nor is what was imported.
         */
        UsageMinute: {
            /**
             * Format: int64
             * @description How many of them ended with an error.
             */
            errors: number;
            /**
             * Format: date-time
             * @description When it began.
             */
            minute: string;
            /**
             * Format: int64
             * @description How many.
             */
            requests: number;
            /**
             * Format: int64
             * @description How many were not answered in time.
             */
            timeouts: number;
        };
        /** @description `GET /api/mcp/usage/minutes` */
        UsageMinutes: {
            /** @description Each minute, with or without requests, the present one last. */
            minutes: components["schemas"]["UsageMinute"][];
        };
        /** @description `GET /api/mcp/usage/summary`: what was used in a period. */
        UsageSummary: {
            /** @description By client type. */
            by_client: {
                [key: string]: components["schemas"]["Usage"];
            };
            /**
             * @description By tool; requests that call none are not here. The key is the tool's name, and where several upstreams have a
             *     tool of that name it is the upstream, `/` and the name.
             */
            by_tool: {
                [key: string]: components["schemas"]["ToolUsage"];
            };
            /** @description By user; what nobody authenticated for is under `anonymous`. */
            by_user: {
                [key: string]: components["schemas"]["Usage"];
            };
            /** @description Which. */
            period: components["schemas"]["Period"];
            /** @description All of it. */
            summary: components["schemas"]["UsageTotals"];
        };
        /** @description All that was used. */
        UsageTotals: {
            /**
             * Format: int64
             * @description Tokens that came back: a model reads them.
             */
            total_completion_tokens: number;
            /**
             * Format: double
             * @description Estimated, in dollars: what tools are called with at the model's output price, what they return at its input
             *     price.
             */
            total_cost: number;
            /**
             * Format: int64
             * @description Tokens that clients sent: a model wrote them.
             */
            total_prompt_tokens: number;
            /**
             * Format: int64
             * @description Requests.
             */
            total_requests: number;
            /**
             * Format: int64
             * @description Both.
             */
            total_tokens: number;
            /**
             * Format: int64
             * @description Sessions that made requests.
             */
            unique_sessions: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;

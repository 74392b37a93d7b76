/** Names of things, shortened where a table needs it. */

/** The first group of a UUID: enough to tell sessions apart on one page. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** Tells tools of the same name at two upstreams apart. */
export function toolId(tool: { tool: string; upstream: string | null }): string {
  return `${tool.upstream ?? ''}/${tool.tool}`;
}

/** What a request did: the tool that it called, else its method. */
export function deed(request: { method: string; tool_name: string | null }): string {
  return request.tool_name ?? request.method;
}

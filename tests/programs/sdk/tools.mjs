// What the server offers: a table of tools, and the lists beside them that conformance asks for.
//
// A tool is a function of its arguments, and of what `call` lets it do in the meantime: see server.mjs.

const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const SILENCE = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';

const text = (text) => ({ type: 'text', text });
const image = { type: 'image', data: PIXEL, mimeType: 'image/png' };
const resource = (uri, text, mimeType) => ({ type: 'resource', resource: { uri, text, mimeType } });
const object = (properties, required = []) => ({ type: 'object', properties, required });
const string = { type: 'string' };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const titled = [1, 2, 3].map((n) => ({ const: `value${n}`, title: `Option ${n}` }));
const untitled = { type: 'string', enum: ['option1', 'option2', 'option3'] };
const CHOICES = object({
  untitledSingle: untitled,
  titledSingle: { type: 'string', oneOf: titled },
  legacyEnum: { type: 'string', enum: ['opt1', 'opt2'], enumNames: ['One', 'Two'] },
  untitledMulti: { type: 'array', items: untitled },
  titledMulti: { type: 'array', items: { anyOf: titled } },
});
const DEFAULTS = object({
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
});
const PERSON = object({ username: string, email: string }, ['username', 'email']);

const answered = ({ action, content }) => text(`${action} ${JSON.stringify(content ?? {})}`);

// By name: the schema of the arguments, and what is done.
const TOOLS = {
  // What a session is for: each has a notebook of its own.
  remember: [object({ text: string }, ['text']), ({ text: line }, call) => (call.notes.push(line), [])],
  recall: [object({}), (_, call) => [text(call.notes.join(' '))]],

  // What the process saw, whoever asks.
  journal: [object({}), (_, call) => [text(call.journal.join(' '))]],

  steps: [
    object({ count: { type: 'integer' } }),
    async ({ count }, call) => {
      for (let step = 1; step <= count; step++) await call.progress(step, count);
      return [text(`${count} steps`)];
    },
  ],
  hang: [
    object({}),
    async (_, call) => {
      call.journal.push('hang');
      await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
      call.journal.push('aborted');
      return [];
    },
  ],
  sleep: [
    object({ ms: { type: 'integer' } }),
    async ({ ms }, call) => {
      call.journal.push('sleep');
      await pause(ms);
      call.journal.push('awake');
      return [text('slept')];
    },
  ],
  ask: [object({}), async (_, call) => [answered(await call.elicit('Who is there?', PERSON))]],
  think: [object({}), async (_, call) => [text((await call.sample('Think')).content.text)]],
  // On the stream that belongs to no call, where there is one.
  announce: [object({}), async (_, call) => (await call.announce(), [text('announced')])],
  hang_up: [
    object({}),
    async (_, call) => {
      call.closeStream();
      await pause(50);
      return [text('answered after the stream was closed')];
    },
  ],
  refuse: [object({}), () => { throw { code: -32099, message: 'refused' }; }],

  test_simple_text: [object({}), () => [text('This is a simple text response for testing.')]],
  test_image_content: [object({}), () => [image]],
  test_audio_content: [object({}), () => [{ type: 'audio', data: SILENCE, mimeType: 'audio/wav' }]],
  test_embedded_resource: [
    object({}),
    () => [resource('test://embedded-resource', 'This is an embedded resource content.', 'text/plain')],
  ],
  test_multiple_content_types: [
    object({}),
    () => [
      text('Multiple content types test:'),
      image,
      resource('test://mixed-content-resource', '{"test":"data","value":123}', 'application/json'),
    ],
  ],
  test_error_handling: [object({}), () => { throw new Error('This tool intentionally returns an error for testing'); }],
  test_tool_with_logging: [
    object({}),
    async (_, call) => {
      for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        await call.log(line);
        await pause(20);
      }
      return [text('logged')];
    },
  ],
  test_tool_with_progress: [
    object({}),
    async (_, call) => {
      for (const done of [0, 50, 100]) {
        await call.progress(done, 100);
        await pause(20);
      }
      return [text('done')];
    },
  ],
  test_sampling: [
    object({ prompt: string }, ['prompt']),
    async ({ prompt }, call) => [text(`LLM response: ${(await call.sample(prompt)).content.text}`)],
  ],
  test_elicitation: [
    object({ message: string }, ['message']),
    async ({ message }, call) => [answered(await call.elicit(message, PERSON))],
  ],
  test_elicitation_sep1034_defaults: [
    object({}),
    async (_, call) => [answered(await call.elicit('Please review', DEFAULTS))],
  ],
  test_elicitation_sep1330_enums: [
    object({}),
    async (_, call) => [answered(await call.elicit('Please choose', CHOICES))],
  ],
  test_reconnection: [
    object({}),
    async (_, call) => {
      await pause(50);
      call.closeStream();
      await pause(50);
      return [text('Reconnection test completed')];
    },
  ],
};

export const tools = Object.entries(TOOLS).map(([name, [inputSchema]]) => ({ name, description: name, inputSchema }));

// Runs a tool. An error of JSON-RPC is thrown as it is, any other becomes the result of the tool.
export async function run(name, args, call) {
  const [, act] = TOOLS[name] ?? [null, () => { throw { code: -32602, message: `unknown tool ${name}` }; }];
  try {
    return { content: await act(args ?? {}, call) };
  } catch (error) {
    if (error.code !== undefined) throw Object.assign(new Error(error.message), error);
    if (error.inputRequired) return error.inputRequired;
    return { content: [text(error.message)], isError: true };
  }
}

export const resources = [
  { uri: 'test://static-text', name: 'text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'binary', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'watched', mimeType: 'text/plain' },
];
export const templates = [{ uriTemplate: 'test://template/{id}/data', name: 'template', mimeType: 'application/json' }];

export function read(uri) {
  const id = /^test:..template.([^/]+).data$/.exec(uri)?.[1];
  const body = {
    'test://static-text': { text: 'This is the content of the static text resource.', mimeType: 'text/plain' },
    'test://static-binary': { blob: PIXEL, mimeType: 'image/png' },
    'test://watched-resource': { text: 'Version 0', mimeType: 'text/plain' },
  }[uri] ?? (id && { text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }), mimeType: 'application/json' });
  if (!body) throw Object.assign(new Error('Resource not found'), { code: -32002, data: { uri } });
  return { contents: [{ uri, ...body }] };
}

const required = (...names) => names.map((name) => ({ name, description: name, required: true }));
export const prompts = [
  { name: 'test_simple_prompt', description: 'simple' },
  { name: 'test_prompt_with_arguments', description: 'with arguments', arguments: required('arg1', 'arg2') },
  { name: 'test_prompt_with_embedded_resource', description: 'with a resource', arguments: required('resourceUri') },
  { name: 'test_prompt_with_image', description: 'with an image' },
];

export function prompt(name, { arg1, arg2, resourceUri } = {}) {
  const contents = {
    test_simple_prompt: [text('This is a simple prompt for testing.')],
    test_prompt_with_arguments: [text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
    test_prompt_with_embedded_resource: [
      resource(resourceUri, 'Embedded resource content for testing.', 'text/plain'),
      text('Please process the embedded resource above.'),
    ],
    test_prompt_with_image: [image, text('Please analyze the image above.')],
  }[name];
  if (!contents) throw Object.assign(new Error(`unknown prompt ${name}`), { code: -32602 });
  return { messages: contents.map((content) => ({ role: 'user', content })) };
}

// A server that has what the official conformance suite asks of servers, on the official SDK:
// `node mcp_conformance.mjs INSTALLED PORT`. With `shim PORT GATE TOKEN` in place of the port: what stands before
// the gate and adds the token, which the suite does not send; Host and Origin go on as they came.
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [, , installed, what, ...rest] = process.argv;

if (what === 'shim') {
  const [port, gate, token] = rest;
  const own = [`localhost:${port}`, `127.0.0.1:${port}`];
  const shim = http.createServer((request, response) => {
    const headers = { ...request.headers, authorization: `Bearer ${token}` };
    if (own.includes(headers.host)) headers.host = `127.0.0.1:${gate}`;
    const to = { host: '127.0.0.1', port: gate, method: request.method, path: request.url, headers };
    const on = http.request(to, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      response.on('close', () => answer.destroy());
    });
    on.on('error', () => response.destroy());
    response.on('close', () => on.destroy());
    request.pipe(on);
  });
  shim.listen(Number(port), '127.0.0.1');
} else {
  await serve(Number(what));
}

async function serve(port) {
  const require = createRequire(`${installed}/node_modules/x`);
  const sdk = (name) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${name}`)).href);
  const { Server } = await sdk('server/index.js');
  const { StreamableHTTPServerTransport } = await sdk('server/streamableHttp.js');
  const { createMcpExpressApp } = await sdk('server/express.js');
  const types = await sdk('types.js');

  const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
  const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
  const text = (text) => ({ type: 'text', text });
  const image = { type: 'image', data: PNG, mimeType: 'image/png' };
  const said = (...content) => ({ content });
  const object = (properties = {}) => ({ type: 'object', properties, required: Object.keys(properties) });
  const field = { type: 'string' };
  const elicited = (answer) =>
    said(text(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`));

  const tools = {
    test_simple_text: [{}, () => said(text('This is a simple text response for testing.'))],
    test_image_content: [{}, () => said(image)],
    test_audio_content: [{}, () => said({ type: 'audio', data: WAV, mimeType: 'audio/wav' })],
    test_embedded_resource: [{}, () => said({
      type: 'resource',
      resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' },
    })],
    test_multiple_content_types: [{}, () => said(text('Multiple content types test:'), image, {
      type: 'resource',
      resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data","value":123}' },
    })],
    test_tool_with_logging: [{}, async (_, extra) => {
      for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
        await wait(50);
      }
      return said(text('Tool with logging executed successfully'));
    }],
    test_tool_with_progress: [{}, async (_, extra) => {
      const progressToken = extra._meta?.progressToken;
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
        await wait(50);
      }
      return said(text(String(progressToken)));
    }],
    test_error_handling: [{}, () => ({ isError: true, ...said(text('This tool intentionally returns an error for testing')) })],
    test_sampling: [{ prompt: field }, async ({ prompt }, extra) => {
      const params = { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 };
      const answer = await extra.sendRequest({ method: 'sampling/createMessage', params }, types.CreateMessageResultSchema);
      return said(text(`LLM response: ${answer.content.text}`));
    }],
    test_elicitation: [{ message: field }, async ({ message }, extra) => {
      const requestedSchema = object({ username: field, email: field });
      const params = { message, requestedSchema };
      const answer = await extra.sendRequest({ method: 'elicitation/create', params }, types.ElicitResultSchema);
      return said(text(`User response: action: ${answer.action}, content: ${JSON.stringify(answer.content ?? {})}`));
    }],
    test_elicitation_sep1034_defaults: [{}, async (_, extra) => {
      const requestedSchema = {
        type: 'object',
        properties: {
          name: { type: 'string', default: 'John Doe' },
          age: { type: 'integer', default: 30 },
          score: { type: 'number', default: 95.5 },
          status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
          verified: { type: 'boolean', default: true },
        },
      };
      const params = { message: 'defaults', requestedSchema };
      return elicited(await extra.sendRequest({ method: 'elicitation/create', params }, types.ElicitResultSchema));
    }],
    test_elicitation_sep1330_enums: [{}, async (_, extra) => {
      const titled = (name) => [1, 2, 3].map((at) => ({ const: `value${at}`, title: `${name} ${at}` }));
      const plain = ['option1', 'option2', 'option3'];
      const requestedSchema = {
        type: 'object',
        properties: {
          untitledSingle: { type: 'string', enum: plain },
          titledSingle: { type: 'string', oneOf: titled('Option') },
          legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
          untitledMulti: { type: 'array', items: { type: 'string', enum: plain } },
          titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
        },
      };
      const params = { message: 'enums', requestedSchema };
      return elicited(await extra.sendRequest({ method: 'elicitation/create', params }, types.ElicitResultSchema));
    }],
  };

  const user = (content) => ({ role: 'user', content });
  const prompts = {
    test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
    test_prompt_with_arguments: [['arg1', 'arg2'], ({ arg1, arg2 }) =>
      [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))]],
    test_prompt_with_embedded_resource: [['resourceUri'], ({ resourceUri }) => [
      user({ type: 'resource', resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
      user(text('Please process the embedded resource above.')),
    ]],
    test_prompt_with_image: [[], () => [user(image), user(text('Please analyze the image above.'))]],
  };

  const resources = {
    'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
    'test://static-binary': { mimeType: 'image/png', blob: PNG },
    'test://watched-resource': { mimeType: 'text/plain', text: 'Watched resource content' },
  };
  const read = (uri) => {
    const id = /^test:\/\/template\/(.+)\/data$/.exec(uri)?.[1];
    if (id) {
      return { mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) };
    }
    if (!resources[uri]) throw new types.McpError(-32002, 'Resource not found', { uri });
    return resources[uri];
  };

  const made = () => {
    const capabilities = {
      tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true },
      logging: {}, completions: {},
    };
    const server = new Server({ name: 'conformance', version: '1' }, { capabilities });
    const on = (schema, answer) => server.setRequestHandler(types[`${schema}RequestSchema`], answer);
    on('ListTools', () => ({
      tools: Object.entries(tools).map(([name, [properties]]) => ({ name, description: name, inputSchema: object(properties) })),
    }));
    on('CallTool', ({ params }, extra) => tools[params.name][1](params.arguments ?? {}, extra));
    on('ListPrompts', () => ({
      prompts: Object.entries(prompts).map(([name, [names]]) => ({
        name, description: name, arguments: names.map((name) => ({ name, description: name, required: true })),
      })),
    }));
    on('GetPrompt', ({ params }) => ({ messages: prompts[params.name][1](params.arguments ?? {}) }));
    on('ListResources', () => ({
      resources: Object.entries(resources).map(([uri, { mimeType }]) => ({ uri, name: uri, description: uri, mimeType })),
    }));
    on('ListResourceTemplates', () => ({
      resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template', description: 'by id', mimeType: 'application/json' }],
    }));
    on('ReadResource', ({ params: { uri } }) => ({ contents: [{ uri, ...read(uri) }] }));
    on('Subscribe', () => ({}));
    on('Unsubscribe', () => ({}));
    on('SetLevel', () => ({}));
    on('Complete', () => ({ completion: { values: ['paris', 'park', 'party'], total: 150, hasMore: false } }));
    return server;
  };

  const app = createMcpExpressApp();
  const sessions = {};
  app.all('/mcp', async (request, response) => {
    const name = request.headers['mcp-session-id'];
    let transport = sessions[name];
    if (!transport) {
      if (name || !types.isInitializeRequest(request.body)) {
        const error = { code: -32000, message: 'no session' };
        return response.status(name ? 404 : 400).json({ jsonrpc: '2.0', id: null, error });
      }
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => { sessions[id] = transport; },
      });
      await made().connect(transport);
    }
    await transport.handleRequest(request, response, request.body);
  });
  app.listen(port, '127.0.0.1');
}

// What `import … from 'kvgen'` gives. Everything else is internal.

export type { ChatMessage } from './chat/messages.js';
export type { CompletionToken } from './completion/complete.js';
export type { FinishReason } from './generation/sequence.js';
export type { Chat, ChatOptions, ChatTurn } from './library/chat-session.js';
export { type Generation, generate } from './library/generate-text.js';
export type { GenerateOptions } from './library/library-options.js';
export { type LoadModelOptions, loadModel, type Model } from './library/model.js';

"""Every wire the proxy speaks; the first of a family renders the paths no wire meters, the first of all what is nobody's."""

from collections.abc import Callable, Sequence

from proxy.wires.anthropic_messages.wire import AnthropicMessages
from proxy.wires.google_gemini.embeddings import GoogleEmbeddings
from proxy.wires.google_gemini.wire import GoogleGemini
from proxy.wires.openai_chat.wire import OpenAIChat
from proxy.wires.openai_completions.wire import OpenAICompletions
from proxy.wires.openai_embeddings.wire import OpenAIEmbeddings
from proxy.wires.openai_responses.wire import OpenAIResponses
from proxy.wires.shared.request_bounds import RequestBounds
from proxy.wires.wire import Wire

WIRES: Sequence[Callable[[RequestBounds], Wire]] = (
    OpenAIChat,
    OpenAIResponses,
    OpenAIEmbeddings,
    OpenAICompletions,
    AnthropicMessages,
    GoogleGemini,
    GoogleEmbeddings,
)

//! Those who run models.

use super::{Check, Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    token(
        "anthropic-key",
        "Anthropic API key",
        &["sk-ant-"],
        r"sk-ant-(?:api|admin|oat|ort|sid)[0-9]{2}-[0-9A-Za-z_-]{80,120}",
    ),
    // `T3BlbkFJ` is `OpenAI` in base64, and in all keys of theirs.
    token(
        "openai-key",
        "OpenAI API key",
        &["sk-"],
        r"sk-(?:proj-|svcacct-|admin-|None-)?[0-9A-Za-z_-]{20,120}T3BlbkFJ[0-9A-Za-z_-]{20,120}",
    ),
    token("openrouter-key", "OpenRouter API key", &["sk-or-v1-"], r"sk-or-v1-[0-9a-f]{64}"),
    token("deepseek-key", "DeepSeek API key", &["sk-"], r"sk-[0-9a-f]{32}")
        .likely()
        .check(Check::Entropy(30)),
    token(
        "huggingface-token",
        "Hugging Face token",
        &["hf_", "api_org_"],
        r"hf_[0-9A-Za-z]{34,40}|api_org_[0-9A-Za-z]{34,40}",
    )
    .check(Check::Entropy(35)),
    token("replicate-token", "Replicate token", &["r8_"], r"r8_[0-9A-Za-z]{37}"),
    token("groq-key", "Groq API key", &["gsk_"], r"gsk_[0-9A-Za-z]{52}"),
    token("perplexity-key", "Perplexity API key", &["pplx-"], r"pplx-[0-9A-Za-z]{48}"),
    token("xai-key", "xAI API key", &["xai-"], r"xai-[0-9A-Za-z]{80}"),
    token("fireworks-key", "Fireworks AI key", &["fw_"], r"fw_[0-9A-Za-z]{22,24}")
        .likely()
        .check(Check::Entropy(35)),
    token("nvidia-key", "NVIDIA API key", &["nvapi-"], r"nvapi-[0-9A-Za-z_-]{60,70}"),
    token(
        "langsmith-key",
        "LangSmith key",
        &["lsv2_"],
        r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}",
    ),
    token(
        "langfuse-key",
        "Langfuse secret key",
        &["sk-lf-"],
        r"sk-lf-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    token("tavily-key", "Tavily API key", &["tvly-"], r"tvly-(?:dev-|prod-)?[0-9A-Za-z]{32}"),
    token("voyage-key", "Voyage AI key", &["pa-"], r"pa-[0-9A-Za-z_-]{43}")
        .likely()
        .check(Check::Entropy(40)),
    token("elevenlabs-key", "ElevenLabs API key", &["sk_"], r"sk_[0-9a-f]{48}"),
    token("pinecone-key", "Pinecone API key", &["pcsk_"], r"pcsk_[0-9A-Za-z]{5,8}_[0-9A-Za-z]{63}"),
    token("e2b-key", "E2B API key", &["e2b_"], r"e2b_[0-9a-f]{40}"),
    named(
        "cohere-key",
        "Cohere, Mistral or Together key behind its name",
        &["cohere", "mistral", "together", "co_api_key"],
        r#"(?i:(?:cohere|mistral|together|co)_api_(?:key|token))["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9A-Za-z]{32,64})"#,
    ),
    named(
        "wandb-key",
        "Weights & Biases key",
        &["wandb"],
        r#"(?i:wandb)_(?i:api_key)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9a-f]{40})"#,
    ),
];

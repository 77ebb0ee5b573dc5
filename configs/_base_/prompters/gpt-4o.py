# The prompts of UniDD, section 3.2: GPT-4o looks at each real image. Needs OPENAI_API_KEY and
# costs money. Taken by a leaf as `model = dict(prompter=_base_.gpt4o)`.
gpt4o = dict(
    _delete_=True, type='VLMPrompter', backend=dict(type='OpenAIBackend', model='gpt-4o'))

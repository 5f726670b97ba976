"""Floor 4: who acts: workflow, supervisor, agent, human. Imports every floor below."""

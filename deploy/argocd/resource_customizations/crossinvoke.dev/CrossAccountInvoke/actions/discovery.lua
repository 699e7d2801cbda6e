local actions = {}
-- Nothing is left to look at once it is being deleted.
actions["check-now"] = { disabled = obj.metadata.deletionTimestamp ~= nil, displayName = "Check now" }
return actions

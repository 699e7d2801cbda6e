-- Health of CrossAccountInvokes and AwsAccounts for Argo CD; the same script for both kinds.

-- What each reason of the condition Ready means for health.
local reasons = {
  Converged = "Healthy",
  Progressing = "Progressing",
  IamPropagating = "Progressing",
  WaitingForIdlePipeline = "Progressing",
  Throttled = "Progressing",
  AwsUnavailable = "Progressing",
  NotChecked = "Progressing",
  Deleting = "Progressing",
  InvalidSpec = "Degraded",
  NotGranted = "Degraded",
  DuplicateAccount = "Degraded",
  AccountMismatch = "Degraded",
  AssumeRoleDenied = "Degraded",
  AccessDenied = "Degraded",
  InvalidBoundary = "Degraded",
  FunctionNotFound = "Degraded",
  ExecutionRoleMismatch = "Degraded",
  PipelineNotFound = "Degraded",
  StageNotFound = "Degraded",
  InvalidPosition = "Degraded",
  ArtifactStoreMissing = "Degraded",
  RoleConflict = "Degraded",
  ActionConflict = "Degraded",
  PipelineRoleCannotAssume = "Degraded",
  PipelineRefused = "Degraded",
  RoleUnmodifiable = "Degraded",
  PolicySizeExceeded = "Degraded",
  InventoryFull = "Degraded",
  QuotaExceeded = "Degraded",
  DeletionBlocked = "Degraded",
}

local hs = { status = "Progressing" }
local conditions = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    conditions[condition.type] = condition
  end
end
local ready = conditions["Ready"]
local is_current = ready ~= nil and obj.status.observedGeneration == obj.metadata.generation

if obj.metadata.deletionTimestamp ~= nil then
  -- Without a deletionMessage Argo CD shows the names of the finalizers.
  hs.message = "Deletion waits for the controller; the object's events say what it waits for"
  if is_current and ready.message ~= "" then
    hs.message = "Being deleted: " .. ready.message
  end
  hs.deletionMessage = hs.message
  return hs
end

if not is_current then
  hs.message = "The controller has not looked at this version of the object yet"
  return hs
end

hs.status = reasons[ready.reason]
if hs.status == nil then
  -- A reason that a newer controller has.
  if ready.status == "True" then
    hs.status = "Healthy"
  elseif ready.status == "False" then
    hs.status = "Degraded"
  else
    hs.status = "Progressing"
  end
end

-- What does not make the object unhealthy is said all the same.
local messages = { ready.message }
local noted = { { "Reconciling", "True" }, { "Drifted", "True" }, { "Contested", "True" }, { "Gated", "False" } }
for _, note in ipairs(noted) do
  local condition = conditions[note[1]]
  if condition ~= nil and condition.status == note[2] and condition.message ~= ready.message then
    table.insert(messages, condition.reason .. ": " .. condition.message)
  end
end
hs.message = table.concat(messages, "; ")
return hs

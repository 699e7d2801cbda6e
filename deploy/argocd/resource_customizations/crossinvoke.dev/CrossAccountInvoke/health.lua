-- Health of CrossAccountInvokes and AwsAccounts for Argo CD. Argo CD wants a file for each kind; the script is the same,
-- and `make conditions` copies the one of CrossAccountInvoke.

local conditions = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    conditions[condition.type] = condition
  end
end
local ready = conditions["Ready"]
local is_current = ready ~= nil and obj.status.observedGeneration == obj.metadata.generation

local hs = { status = "Progressing" }

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "Deletion waits for the controller; the object's events say what it waits for"
  -- Until the controller has looked at the deletion, and on an account that is in use, Ready is about what was before.
  if is_current and ready.status ~= "True" then
    hs.message = "Being deleted: " .. ready.message
  end
  -- Without a deletionMessage Argo CD shows the names of the finalizers.
  hs.deletionMessage = hs.message
  return hs
end

if not is_current then
  hs.message = "The controller has not looked at this version of the object yet"
  return hs
end

-- Generated from the reasons by `make conditions`: begin
local health_of = {
  Converged = "Healthy",
  Progressing = "Progressing",
  IamPropagating = "Progressing",
  WaitingForIdlePipeline = "Progressing",
  WaitingForRetryWindow = "Progressing",
  WaitingForCorrectionWindow = "Progressing",
  Throttled = "Progressing",
  AwsUnavailable = "Progressing",
  NotChecked = "Progressing",
  Deleting = "Progressing",
  InvalidSpec = "Degraded",
  NotGranted = "Degraded",
  DuplicateAccount = "Degraded",
  AccountMismatch = "Degraded",
  AssumeRoleDenied = "Degraded",
  CertificateNotTrusted = "Degraded",
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
  ForeignWriter = "Degraded",
  RoleUnmodifiable = "Degraded",
  PolicySizeExceeded = "Degraded",
  InventoryFull = "Degraded",
  QuotaExceeded = "Degraded",
  DeletionBlocked = "Degraded",
}
-- Generated from the reasons: end

local stalled = conditions["Stalled"]
local known = health_of[ready.reason]
if known ~= nil then
  -- Ready stays as it is while Reconciling says that looks fail: nothing is known to be wrong.
  hs.status = known
-- A reason of a newer controller.
elseif stalled ~= nil and stalled.status == "True" then
  hs.status = "Degraded"
elseif ready.status == "True" then
  hs.status = "Healthy"
end

-- What does not make the object unhealthy is said all the same. An AwsAccount has only the first of these.
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

-- Asks the controller to compare with AWS at once.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["crossinvoke.dev/reconcile-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj

// Command gitops says what GitOps tools see in objects: it reads a JSON array of objects from standard input and prints an
// array of verdicts.
//
//	gitops health SCRIPT   the health that Argo CD finds with this health.lua
//	gitops lua SCRIPT      what another script of a resource customization returns: discovery.lua, action.lua
//	gitops kstatus         the status that kstatus computes, as Flux and kpt use it
//
// Scripts run with the libraries that Argo CD opens for scripts from argocd-cm: package, base, table, and os with time and
// date alone.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("say health SCRIPT, lua SCRIPT or kstatus")
	}
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	judge := kstatus
	if arguments[0] != "kstatus" {
		if len(arguments) != 2 {
			return fmt.Errorf("%s needs a script", arguments[0])
		}
		script, err := os.ReadFile(arguments[1])
		if err != nil {
			return err
		}
		judge = func(object map[string]any) (any, error) { return runScript(string(script), object) }
	}
	verdicts := []any{}
	for _, object := range objects {
		verdict, err := judge(object)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, verdict)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func kstatus(object map[string]any) (any, error) {
	// JSON has no integers; kstatus asks for them.
	for _, path := range [][]string{{"metadata", "generation"}, {"status", "observedGeneration"}} {
		if number, found, _ := unstructured.NestedFloat64(object, path...); found {
			_ = unstructured.SetNestedField(object, int64(number), path...)
		}
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return nil, err
	}
	return map[string]any{"status": result.Status.String(), "message": result.Message}, nil
}

func runScript(script string, object map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	state.PreloadModule(lua.OsLibName, safeOs)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	return fromLua(state.Get(-1)), nil
}

// safeOs keeps time and date of gopher-lua's os.
func safeOs(state *lua.LState) int {
	state.Push(state.NewFunction(lua.OpenOs))
	state.Push(lua.LString(lua.OsLibName))
	state.Call(1, 1)
	whole := state.CheckTable(-1)
	safe := state.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, whole.RawGetString(name))
	}
	state.Push(safe)
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LNumber:
		return float64(value)
	case lua.LString:
		return string(value)
	case *lua.LTable:
		if value.Len() > 0 {
			items := []any{}
			value.ForEach(func(_, item lua.LValue) { items = append(items, fromLua(item)) })
			return items
		}
		members := map[string]any{}
		value.ForEach(func(key, item lua.LValue) { members[key.String()] = fromLua(item) })
		return members
	}
	return nil
}

package main

import (
	"encoding/json"
	"io"

	"github.com/kubeflow/pipelines/backend/src/apiserver/model"
)

// A file to compile, as the API server gets it when a run is created.
type wanted struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Parameters of the run, as JSON.
	Parameters json.RawMessage `json:"parameters"`
}

// What became of it: a workflow, or the stage that refused it and why.
type result struct {
	Name     string          `json:"name"`
	Release  string          `json:"release"`
	Stage    string          `json:"stage,omitempty"`
	Error    string          `json:"error,omitempty"`
	Workflow json.RawMessage `json:"workflow,omitempty"`
}

func compileAll(in io.Reader, out io.Writer) error {
	var files []wanted
	if err := json.NewDecoder(in).Decode(&files); err != nil {
		return err
	}
	results := make([]result, 0, len(files))
	for _, file := range files {
		results = append(results, compile(file))
	}
	return json.NewEncoder(out).Encode(results)
}

// compile takes the way of CreateRun: read strictly, compile to a Workflow, let Argo validate that.
func compile(file wanted) result {
	found := result{Name: file.Name, Release: release}
	refused := func(stage string, err error) result {
		found.Stage, found.Error = stage, err.Error()
		return found
	}
	spec, err := readTemplate([]byte(file.Text))
	if err != nil {
		return refused("read", err)
	}
	execution, err := spec.RunWorkflow(runOf(file), runOptions("11111111-2222-3333-4444-555555555555"))
	if err != nil {
		return refused("compile", err)
	}
	if err := execution.Validate(false, false); err != nil {
		return refused("validate", err)
	}
	found.Workflow = json.RawMessage(execution.ToStringForStore())
	return found
}

func runOf(file wanted) *model.Run {
	run := &model.Run{DisplayName: file.Name, Namespace: namespace}
	setParameters(run, string(file.Parameters))
	return run
}

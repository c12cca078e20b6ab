//go:build !newer

package main

// What differs between versions of KFP: here the one whose module is published, of August 2024.

import (
	"github.com/grpc-ecosystem/grpc-gateway/runtime"
	"github.com/kubeflow/pipelines/backend/src/apiserver/model"
	"github.com/kubeflow/pipelines/backend/src/apiserver/template"
)

const release = "2.3"

type gatewayMux = runtime.ServeMux

func newGateway() *gatewayMux { return runtime.NewServeMux() }

func readTemplate(text []byte) (*template.V2Spec, error) { return template.NewV2SpecTemplate(text) }

func runOptions(id string) template.RunWorkflowOptions { return template.RunWorkflowOptions{RunId: id} }

func setParameters(run *model.Run, parameters string) { run.RuntimeConfig.Parameters = parameters }

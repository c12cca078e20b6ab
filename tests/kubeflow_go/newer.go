//go:build newer

package main

// What differs between versions of KFP: here the one of a checkout, 2.17 and later.

import (
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/kubeflow/pipelines/backend/src/apiserver/common"
	"github.com/kubeflow/pipelines/backend/src/apiserver/config/proxy"
	"github.com/kubeflow/pipelines/backend/src/apiserver/model"
	"github.com/kubeflow/pipelines/backend/src/apiserver/template"
)

const release = "2.17"

func init() { proxy.InitializeConfigWithEmptyForTests() }

type gatewayMux = runtime.ServeMux

func newGateway() *gatewayMux {
	return runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, common.CustomMarshaler()))
}

func readTemplate(text []byte) (*template.V2Spec, error) {
	return template.NewV2SpecTemplate(text, template.TemplateOptions{})
}

func runOptions(id string) template.RunWorkflowOptions { return template.RunWorkflowOptions{RunID: id} }

func setParameters(run *model.Run, parameters string) {
	run.RuntimeConfig.Parameters = model.LargeText(parameters)
}

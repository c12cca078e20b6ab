"""The messages of `ml_metadata/proto/metadata_store_service.proto` as a table, and its 52 calls.

Each call takes the message NAMERequest and gives NAMEResponse, one of each. The notation is explained in
descriptors.py; the facts are MLMD's. This file knows nothing of what a call does.
"""

from __future__ import annotations

FILE = "ml_metadata/proto/metadata_store_service.proto"

TABLE = """
ArtifactAndType: artifact 1 Artifact, type 2 ArtifactType
ArtifactStructMap: properties 1 map string ArtifactStruct
ArtifactStructList: elements 1 ArtifactStruct*
ArtifactStruct: artifact 1 ArtifactAndType |value, map 2 ArtifactStructMap |value, list 3 ArtifactStructList
  |value
PutArtifactsRequest: artifacts 1 Artifact*, options 2 PutArtifactsRequest.Options, transaction_options 3
  TransactionOptions, update_mask 4 FieldMask
PutArtifactsRequest.Options: abort_if_latest_updated_time_changed 1 bool
PutArtifactsResponse: artifact_ids 1 int64*
PutArtifactTypeRequest: artifact_type 1 ArtifactType, can_add_fields 2 bool, can_omit_fields 5 bool,
  can_delete_fields 3 bool deprecated, all_fields_match 4 bool =true deprecated, transaction_options 6
  TransactionOptions
PutArtifactTypeResponse: type_id 1 int64
PutExecutionsRequest: executions 1 Execution*, transaction_options 2 TransactionOptions, update_mask 3
  FieldMask
PutExecutionsResponse: execution_ids 1 int64*
PutExecutionTypeRequest: execution_type 1 ExecutionType, can_add_fields 2 bool, can_omit_fields 5 bool,
  can_delete_fields 3 bool deprecated, all_fields_match 4 bool =true deprecated, transaction_options 6
  TransactionOptions
PutExecutionTypeResponse: type_id 1 int64
PutEventsRequest: events 1 Event*, transaction_options 2 TransactionOptions
PutEventsResponse:
PutExecutionRequest: execution 1 Execution, artifact_event_pairs 2 PutExecutionRequest.ArtifactAndEvent*,
  contexts 3 Context*, options 4 PutExecutionRequest.Options, transaction_options 5 TransactionOptions
PutExecutionRequest.ArtifactAndEvent: artifact 1 Artifact, event 2 Event
PutExecutionRequest.Options: reuse_context_if_already_exist 1 bool,
  reuse_artifact_if_already_exist_by_external_id 2 bool, force_update_time 3 bool, force_reuse_context 4
  bool
PutExecutionResponse: execution_id 1 int64, artifact_ids 2 int64*, context_ids 3 int64*
PutLineageSubgraphRequest: executions 1 Execution*, artifacts 2 Artifact*, contexts 3 Context*, event_edges
  4 PutLineageSubgraphRequest.EventEdge*, options 5 PutLineageSubgraphRequest.Options, transaction_options 6
  TransactionOptions
PutLineageSubgraphRequest.EventEdge: execution_index 1 int32, artifact_index 2 int32, event 3 Event
PutLineageSubgraphRequest.Options: reuse_context_if_already_exist 1 bool,
  reuse_artifact_if_already_exist_by_external_id 2 bool
PutLineageSubgraphResponse: execution_ids 1 int64* packed, artifact_ids 2 int64* packed, context_ids 3
  int64* packed
PutTypesRequest: artifact_types 1 ArtifactType*, execution_types 2 ExecutionType*, context_types 3
  ContextType*, can_add_fields 4 bool, can_omit_fields 7 bool, can_delete_fields 5 bool deprecated,
  all_fields_match 6 bool =true deprecated, transaction_options 8 TransactionOptions
PutTypesResponse: artifact_type_ids 1 int64*, execution_type_ids 2 int64*, context_type_ids 3 int64*
PutContextTypeRequest: context_type 1 ContextType, can_add_fields 2 bool, can_omit_fields 5 bool,
  can_delete_fields 3 bool deprecated, all_fields_match 4 bool =true deprecated, transaction_options 6
  TransactionOptions
PutContextTypeResponse: type_id 1 int64
PutContextsRequest: contexts 1 Context*, transaction_options 2 TransactionOptions, update_mask 3 FieldMask
PutContextsResponse: context_ids 1 int64*
PutAttributionsAndAssociationsRequest: attributions 1 Attribution*, associations 2 Association*,
  transaction_options 3 TransactionOptions
PutAttributionsAndAssociationsResponse:
PutParentContextsRequest: parent_contexts 1 ParentContext*, transaction_options 2 TransactionOptions
PutParentContextsResponse:
GetArtifactsByTypeRequest: type_name 1 string, type_version 2 string, options 3 ListOperationOptions,
  transaction_options 4 TransactionOptions
GetArtifactsByTypeResponse: artifacts 1 Artifact*, next_page_token 2 string
GetArtifactByTypeAndNameRequest: type_name 1 string, type_version 3 string, artifact_name 2 string,
  transaction_options 4 TransactionOptions
GetArtifactByTypeAndNameResponse: artifact 1 Artifact
GetArtifactsByIDRequest: artifact_ids 1 int64*, populate_artifact_types 3 bool =false, transaction_options 2
  TransactionOptions
GetArtifactsByIDResponse: artifacts 1 Artifact*, artifact_types 2 ArtifactType*
GetArtifactsRequest: options 1 ListOperationOptions, transaction_options 2 TransactionOptions
GetArtifactsResponse: artifacts 1 Artifact*, next_page_token 2 string
GetArtifactsByURIRequest: uris 2 string*, transaction_options 3 TransactionOptions
GetArtifactsByURIResponse: artifacts 1 Artifact*
GetExecutionsRequest: options 1 ListOperationOptions, transaction_options 2 TransactionOptions
GetExecutionsResponse: executions 1 Execution*, next_page_token 2 string
GetArtifactTypeRequest: type_name 1 string, type_version 2 string, transaction_options 3 TransactionOptions
GetArtifactTypeResponse: artifact_type 1 ArtifactType
GetArtifactTypesRequest: transaction_options 1 TransactionOptions
GetArtifactTypesResponse: artifact_types 1 ArtifactType*
GetExecutionTypesRequest: transaction_options 1 TransactionOptions
GetExecutionTypesResponse: execution_types 1 ExecutionType*
GetContextTypesRequest: transaction_options 1 TransactionOptions
GetContextTypesResponse: context_types 1 ContextType*
GetArtifactsByExternalIdsRequest: external_ids 1 string*, transaction_options 2 TransactionOptions
GetArtifactsByExternalIdsResponse: artifacts 1 Artifact*
GetExecutionsByExternalIdsRequest: external_ids 1 string*, transaction_options 2 TransactionOptions
GetExecutionsByExternalIdsResponse: executions 1 Execution*
GetContextsByExternalIdsRequest: external_ids 1 string*, transaction_options 2 TransactionOptions
GetContextsByExternalIdsResponse: contexts 1 Context*
GetArtifactTypesByExternalIdsRequest: external_ids 1 string*, transaction_options 2 TransactionOptions
GetArtifactTypesByExternalIdsResponse: artifact_types 1 ArtifactType*
GetExecutionTypesByExternalIdsRequest: external_ids 1 string*, transaction_options 2 TransactionOptions
GetExecutionTypesByExternalIdsResponse: execution_types 1 ExecutionType*
GetContextTypesByExternalIdsRequest: external_ids 1 string*, transaction_options 2 TransactionOptions
GetContextTypesByExternalIdsResponse: context_types 1 ContextType*
GetExecutionsByTypeRequest: type_name 1 string, type_version 2 string, options 3 ListOperationOptions,
  transaction_options 4 TransactionOptions
GetExecutionsByTypeResponse: executions 1 Execution*, next_page_token 2 string
GetExecutionByTypeAndNameRequest: type_name 1 string, type_version 3 string, execution_name 2 string,
  transaction_options 4 TransactionOptions
GetExecutionByTypeAndNameResponse: execution 1 Execution
GetExecutionsByIDRequest: execution_ids 1 int64*, transaction_options 2 TransactionOptions
GetExecutionsByIDResponse: executions 1 Execution*
GetExecutionTypeRequest: type_name 1 string, type_version 2 string, transaction_options 3 TransactionOptions
GetExecutionTypeResponse: execution_type 1 ExecutionType
GetEventsByExecutionIDsRequest: execution_ids 1 int64*, transaction_options 2 TransactionOptions
GetEventsByExecutionIDsResponse: events 1 Event*
GetEventsByArtifactIDsRequest: artifact_ids 1 int64*, transaction_options 2 TransactionOptions
GetEventsByArtifactIDsResponse: events 1 Event*
GetArtifactTypesByIDRequest: type_ids 1 int64*, transaction_options 2 TransactionOptions
GetArtifactTypesByIDResponse: artifact_types 1 ArtifactType*
GetExecutionTypesByIDRequest: type_ids 1 int64*, transaction_options 2 TransactionOptions
GetExecutionTypesByIDResponse: execution_types 1 ExecutionType*
GetContextTypeRequest: type_name 1 string, type_version 2 string, transaction_options 3 TransactionOptions
GetContextTypeResponse: context_type 1 ContextType
GetContextTypesByIDRequest: type_ids 1 int64*, transaction_options 2 TransactionOptions
GetContextTypesByIDResponse: context_types 1 ContextType*
GetContextsRequest: options 1 ListOperationOptions, transaction_options 2 TransactionOptions
GetContextsResponse: contexts 1 Context*, next_page_token 2 string
GetContextsByTypeRequest: type_name 1 string, options 2 ListOperationOptions, type_version 3 string,
  transaction_options 4 TransactionOptions
GetContextsByTypeResponse: contexts 1 Context*, next_page_token 2 string
GetContextByTypeAndNameRequest: type_name 1 string, type_version 3 string, context_name 2 string,
  transaction_options 4 TransactionOptions
GetContextByTypeAndNameResponse: context 1 Context
GetContextsByIDRequest: context_ids 1 int64*, transaction_options 2 TransactionOptions
GetContextsByIDResponse: contexts 1 Context*
GetContextsByArtifactRequest: artifact_id 1 int64, transaction_options 2 TransactionOptions
GetContextsByArtifactResponse: contexts 1 Context*
GetContextsByExecutionRequest: execution_id 1 int64, transaction_options 2 TransactionOptions
GetContextsByExecutionResponse: contexts 1 Context*
GetParentContextsByContextRequest: context_id 1 int64, transaction_options 2 TransactionOptions
GetParentContextsByContextResponse: contexts 1 Context*
GetChildrenContextsByContextRequest: context_id 1 int64, transaction_options 2 TransactionOptions
GetChildrenContextsByContextResponse: contexts 1 Context*
GetParentContextsByContextsRequest: context_ids 1 int64* packed, transaction_options 2 TransactionOptions
GetParentContextsByContextsResponse: contexts 2 map int64
  GetParentContextsByContextsResponse.ParentContextsPerChild
GetParentContextsByContextsResponse.ParentContextsPerChild: parent_contexts 1 Context*
GetChildrenContextsByContextsRequest: context_ids 1 int64* packed, transaction_options 2 TransactionOptions
GetChildrenContextsByContextsResponse: contexts 2 map int64
  GetChildrenContextsByContextsResponse.ChildrenContextsPerParent
GetChildrenContextsByContextsResponse.ChildrenContextsPerParent: children_contexts 1 Context*
GetArtifactsByContextRequest: context_id 1 int64, options 2 ListOperationOptions, transaction_options 3
  TransactionOptions
GetArtifactsByContextResponse: artifacts 1 Artifact*, next_page_token 2 string
GetExecutionsByContextRequest: context_id 1 int64, options 2 ListOperationOptions, transaction_options 3
  TransactionOptions
GetExecutionsByContextResponse: executions 1 Execution*, next_page_token 2 string, transaction_options 3
  TransactionOptions
GetLineageGraphRequest: options 1 LineageGraphQueryOptions, transaction_options 2 TransactionOptions
GetLineageGraphResponse: subgraph 1 LineageGraph
GetLineageSubgraphRequest: lineage_subgraph_query_options 1 LineageSubgraphQueryOptions, read_mask 3
  FieldMask, transaction_options 2 TransactionOptions
GetLineageSubgraphResponse: lineage_subgraph 1 LineageGraph
"""

METHODS = """
PutArtifactType PutExecutionType PutContextType PutTypes PutArtifacts PutExecutions PutEvents
PutExecution PutLineageSubgraph PutContexts PutAttributionsAndAssociations PutParentContexts
GetArtifactType GetArtifactTypesByID GetArtifactTypes GetExecutionType GetExecutionTypesByID
GetExecutionTypes GetContextType GetContextTypesByID GetContextTypes GetArtifacts GetExecutions
GetContexts GetArtifactsByID GetExecutionsByID GetContextsByID GetArtifactsByType GetExecutionsByType
GetContextsByType GetArtifactByTypeAndName GetExecutionByTypeAndName GetContextByTypeAndName
GetArtifactsByURI GetEventsByExecutionIDs GetEventsByArtifactIDs GetArtifactsByExternalIds
GetExecutionsByExternalIds GetContextsByExternalIds GetArtifactTypesByExternalIds
GetExecutionTypesByExternalIds GetContextTypesByExternalIds GetContextsByArtifact GetContextsByExecution
GetParentContextsByContext GetChildrenContextsByContext GetParentContextsByContexts
GetChildrenContextsByContexts GetArtifactsByContext GetExecutionsByContext GetLineageGraph
GetLineageSubgraph
"""

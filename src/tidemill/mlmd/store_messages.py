"""The messages of `ml_metadata/proto/metadata_store.proto` as a table: names, numbers, types.

They are MLMD's facts (google/ml-metadata, Apache-2.0 licence), in a notation of ours that
descriptors.py explains. This file knows nothing of how they are used.
"""

from __future__ import annotations

FILE = "ml_metadata/proto/metadata_store.proto"

TABLE = """
enum PropertyType: UNKNOWN INT DOUBLE STRING STRUCT PROTO BOOLEAN
SystemTypeExtension: type_name 1 string
Value: int_value 1 int64 |value, double_value 2 double |value, string_value 3 string |value, struct_value 4
  Struct |value, proto_value 5 Any |value, bool_value 6 bool |value
enum Artifact.State: UNKNOWN PENDING LIVE MARKED_FOR_DELETION DELETED ABANDONED REFERENCE
Artifact: id 1 int64, name 7 string, type_id 2 int64, type 8 string, uri 3 string, external_id 11 string,
  properties 4 map string Value, custom_properties 5 map string Value, state 6 Artifact.State,
  create_time_since_epoch 9 int64, last_update_time_since_epoch 10 int64, system_metadata 12 Any
enum ArtifactType.SystemDefinedBaseType: UNSET=unset_artifact_type DATASET=mlmd.Dataset MODEL=mlmd.Model
  METRICS=mlmd.Metrics STATISTICS=mlmd.Statistics
ArtifactType: id 1 int64, name 2 string, version 4 string, description 5 string, external_id 7 string,
  properties 3 map string PropertyType, base_type 6 ArtifactType.SystemDefinedBaseType
enum Event.Type: UNKNOWN DECLARED_OUTPUT DECLARED_INPUT INPUT OUTPUT INTERNAL_INPUT INTERNAL_OUTPUT
  PENDING_OUTPUT
Event: artifact_id 1 int64, execution_id 2 int64, path 3 Event.Path, type 4 Event.Type,
  milliseconds_since_epoch 5 int64, system_metadata 6 Any
Event.Path: steps 1 Event.Path.Step*
Event.Path.Step: index 1 int64 |value, key 2 string |value
enum Execution.State: UNKNOWN NEW RUNNING COMPLETE FAILED CACHED CANCELED
Execution: id 1 int64, name 6 string, type_id 2 int64, type 7 string, external_id 10 string,
  last_known_state 3 Execution.State, properties 4 map string Value, custom_properties 5 map string Value,
  create_time_since_epoch 8 int64, last_update_time_since_epoch 9 int64, system_metadata 11 Any
enum ExecutionType.SystemDefinedBaseType: UNSET=unset_execution_type TRAIN=mlmd.Train
  TRANSFORM=mlmd.Transform PROCESS=mlmd.Process EVALUATE=mlmd.Evaluate DEPLOY=mlmd.Deploy
ExecutionType: id 1 int64, name 2 string, version 6 string, description 7 string, external_id 9 string,
  properties 3 map string PropertyType, input_type 4 ArtifactStructType, output_type 5 ArtifactStructType,
  base_type 8 ExecutionType.SystemDefinedBaseType
enum ContextType.SystemDefinedBaseType: UNSET=unset_context_type
ContextType: id 1 int64, name 2 string, version 4 string, description 5 string, external_id 7 string,
  properties 3 map string PropertyType, base_type 6 ContextType.SystemDefinedBaseType
Context: id 1 int64, name 3 string, type_id 2 int64, type 6 string, external_id 9 string, properties 4 map
  string Value, custom_properties 5 map string Value, create_time_since_epoch 7 int64,
  last_update_time_since_epoch 8 int64, system_metadata 10 Any
Attribution: artifact_id 1 int64, context_id 2 int64, system_metadata 3 Any
Association: execution_id 1 int64, context_id 2 int64, system_metadata 3 Any
ParentContext: child_id 1 int64, parent_id 2 int64, system_metadata 3 Any
LineageGraph: artifact_types 1 ArtifactType*, execution_types 2 ExecutionType*, context_types 3
  ContextType*, artifacts 4 Artifact*, executions 5 Execution*, contexts 6 Context*, events 7 Event*,
  attributions 8 Attribution*, associations 9 Association*, parent_contexts 10 ParentContext*
ArtifactStructType: simple 1 ArtifactType |kind, union_type 2 UnionArtifactStructType |kind, intersection 3
  IntersectionArtifactStructType |kind, list 4 ListArtifactStructType |kind, none 5 NoneArtifactStructType
  |kind, any 6 AnyArtifactStructType |kind, tuple 7 TupleArtifactStructType |kind, dict 8
  DictArtifactStructType |kind
UnionArtifactStructType: candidates 1 ArtifactStructType*
IntersectionArtifactStructType: constraints 1 ArtifactStructType*
ListArtifactStructType: element 1 ArtifactStructType
NoneArtifactStructType:
AnyArtifactStructType:
TupleArtifactStructType: elements 1 ArtifactStructType*
DictArtifactStructType: properties 1 map string ArtifactStructType, none_type_not_required 2 bool,
  extra_properties_type 3 ArtifactStructType
FakeDatabaseConfig:
MySQLDatabaseConfig: host 1 string, port 2 int64, database 3 string, user 4 string, password 5 string,
  socket 6 string, ssl_options 7 MySQLDatabaseConfig.SSLOptions, skip_db_creation 8 bool
MySQLDatabaseConfig.SSLOptions: key 1 string, cert 2 string, ca 3 string, capath 4 string, cipher 5 string,
  verify_server_cert 6 bool
enum SqliteMetadataSourceConfig.ConnectionMode: UNKNOWN READONLY READWRITE READWRITE_OPENCREATE
SqliteMetadataSourceConfig: filename_uri 1 string, connection_mode 2
  SqliteMetadataSourceConfig.ConnectionMode
PostgreSQLDatabaseConfig: host 1 string, hostaddr 2 string, port 3 string, user 4 string, password 5 string,
  passfile 6 string, dbname 7 string, skip_db_creation 8 bool, ssloption 9
  PostgreSQLDatabaseConfig.SSLOptions
PostgreSQLDatabaseConfig.SSLOptions: sslmode 1 string, sslcert 2 string, sslkey 3 string, sslpassword 4
  string, sslrootcert 5 string
MigrationOptions: enable_upgrade_migration 3 bool, downgrade_to_schema_version 2 int64 =-1
RetryOptions: max_num_retries 1 int64
ConnectionConfig: fake_database 1 FakeDatabaseConfig |config, mysql 2 MySQLDatabaseConfig |config, sqlite 3
  SqliteMetadataSourceConfig |config, postgresql 5 PostgreSQLDatabaseConfig |config, retry_options 4
  RetryOptions
GrpcChannelArguments: max_receive_message_length 1 int64, http2_max_ping_strikes 2 int64
MetadataStoreClientConfig: host 1 string, port 2 int64, ssl_config 3 MetadataStoreClientConfig.SSLConfig,
  channel_arguments 4 GrpcChannelArguments, client_timeout_sec 5 double
MetadataStoreClientConfig.SSLConfig: client_key 1 string, server_cert 2 string, custom_ca 3 string
MetadataStoreServerConfig: connection_config 1 ConnectionConfig, migration_options 3 MigrationOptions,
  ssl_config 2 MetadataStoreServerConfig.SSLConfig
MetadataStoreServerConfig.SSLConfig: server_key 1 string, server_cert 2 string, custom_ca 3 string,
  client_verify 4 bool
ListOperationOptions: max_result_size 1 int32 =20, order_by_field 2 ListOperationOptions.OrderByField,
  next_page_token 3 string, filter_query 4 string
enum ListOperationOptions.OrderByField.Field: FIELD_UNSPECIFIED CREATE_TIME LAST_UPDATE_TIME ID
ListOperationOptions.OrderByField: field 1 ListOperationOptions.OrderByField.Field =ID, is_asc 2 bool =true
ListOperationNextPageToken: id_offset 1 int64, field_offset 2 int64, set_options 3 ListOperationOptions,
  listed_ids 4 int64*
TransactionOptions: tag 1 string
LineageGraphQueryOptions: artifacts_options 1 ListOperationOptions |query_nodes, stop_conditions 2
  LineageGraphQueryOptions.BoundaryConstraint, max_node_size 3 int64 =20
LineageGraphQueryOptions.BoundaryConstraint: max_num_hops 1 int64, boundary_artifacts 2 string,
  boundary_executions 3 string
enum LineageSubgraphQueryOptions.Direction: DIRECTION_UNSPECIFIED UPSTREAM DOWNSTREAM BIDIRECTIONAL
LineageSubgraphQueryOptions: starting_artifacts 1 LineageSubgraphQueryOptions.StartingNodes |starting_nodes,
  starting_executions 2 LineageSubgraphQueryOptions.StartingNodes |starting_nodes, max_num_hops 3 int64,
  direction 4 LineageSubgraphQueryOptions.Direction, ending_artifacts 5
  LineageSubgraphQueryOptions.EndingNodes, ending_executions 6 LineageSubgraphQueryOptions.EndingNodes
LineageSubgraphQueryOptions.StartingNodes: filter_query 1 string
LineageSubgraphQueryOptions.EndingNodes: filter_query 1 string, include_ending_nodes 2 bool =false
"""

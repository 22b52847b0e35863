#!/usr/bin/env python3
"""Calls each method of urva's API with Google's own client, and checks the answers.

    check_api.py ADDRESS TRANSPORT SCHEME SCOPE TOKENS

TRANSPORT is grpc or rest, SCHEME http or https; with https the client is used as it is, and trusts what
GRPC_DEFAULT_SSL_ROOTS_FILE_PATH and REQUESTS_CA_BUNDLE name. SCOPE is the organization; TOKENS are five, with commas between
them: of an admin, a responder, an analyst and a viewer, and one that has expired. The store holds one finding of urva's own.

Needs: pip install google-cloud-securitycenter
"""

import datetime
import sys
import uuid

import grpc
from google.api_core import exceptions
from google.cloud import securitycenter_v2 as scc
from google.cloud.securitycenter_v2.services.security_center.transports import (
    SecurityCenterGrpcTransport,
    SecurityCenterRestTransport,
)
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from google.protobuf import field_mask_pb2, struct_pb2, timestamp_pb2

ADDRESS, TRANSPORT, SCHEME, SCOPE = sys.argv[1:5]
ADMIN, RESPONDER, ANALYST, VIEWER, EXPIRED = sys.argv[5].split(",")
CALLS = 0


class Bearer(grpc.UnaryUnaryClientInterceptor):
    """Sends a token over a channel without TLS, over which the library itself sends no credentials."""

    def __init__(self, token):
        self.token = token

    def intercept_unary_unary(self, continuation, details, request):
        metadata = list(details.metadata or []) + [("authorization", f"Bearer {self.token}")]
        return continuation(details._replace(metadata=metadata), request)


def client(token):
    credentials = Credentials(token) if token else None
    if SCHEME == "https":
        return scc.SecurityCenterClient(
            credentials=credentials, transport=TRANSPORT, client_options={"api_endpoint": ADDRESS}
        )
    if TRANSPORT == "rest":
        transport = SecurityCenterRestTransport(host=ADDRESS, credentials=credentials, url_scheme="http")
    else:
        channel = grpc.intercept_channel(grpc.insecure_channel(ADDRESS), Bearer(token))
        transport = SecurityCenterGrpcTransport(channel=channel)
    return scc.SecurityCenterClient(transport=transport)


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def raised(kind):
    """Over REST the library knows the HTTP status alone, and raises the class that the gRPC code's own derives from."""
    own = (exceptions.InvalidArgument, exceptions.FailedPrecondition, exceptions.AlreadyExists,
           exceptions.PermissionDenied, exceptions.Unauthenticated)
    return kind.__bases__[0] if TRANSPORT == "rest" and kind in own else kind


def refused(kind, call, *words):
    global CALLS
    CALLS += 1
    kind = tuple(map(raised, kind)) if isinstance(kind, tuple) else raised(kind)
    try:
        call()
    except kind as error:
        for word in words:
            assert word in str(error), f"{error} does not say {word!r}"
        return error
    raise AssertionError(f"{kind} was expected")


def mask(*paths):
    return field_mask_pb2.FieldMask(paths=paths)


def at(second):
    return timestamp_pb2.Timestamp(seconds=1_795_262_400 + second)


def finding(number, **fields):
    usual = dict(
        category=f"Category {number % 3}",
        resource_name=f"//container.googleapis.com/projects/1/clusters/c{number % 2}",
        event_time=at(number),
        severity=scc.Finding.Severity.HIGH,
        source_properties={"Pod_Namespace": struct_pb2.Value(string_value=f"ns{number % 2}")},
    )
    return scc.Finding(**{**usual, **fields})


def check_sources(admin):
    source = admin.create_source(parent=SCOPE, source=scc.Source(display_name="Scanner", description="d"))
    assert source.name.startswith(f"{SCOPE}/sources/"), source.name
    equal(admin.get_source(name=source.name), source)
    changed = admin.update_source(source=scc.Source(name=source.name, display_name="Scanner 2"), update_mask=mask("display_name"))
    equal((changed.display_name, changed.description), ("Scanner 2", "d"))
    names = [one.name for one in admin.list_sources(request={"parent": SCOPE, "page_size": 1})]
    assert source.name in names and f"{SCOPE}/sources/urva" in names, names
    refused(exceptions.InvalidArgument, lambda: admin.create_source(parent=SCOPE, source=scc.Source()), "display_name")
    refused(exceptions.NotFound, lambda: admin.get_source(name=f"{SCOPE}/sources/77"), "sources/77 was not found")
    refused(exceptions.NotFound, lambda: admin.list_sources(parent="organizations/999"), "organizations/999 was not found")
    refused(exceptions.InvalidArgument, lambda: admin.update_source(
        source=scc.Source(name=source.name, display_name="x"), update_mask=mask("colour")), "colour")
    return source.name


def check_findings(api, source):
    names = []
    for number in range(7):
        parent = source if number % 2 else f"{source}/locations/global"
        created = api.create_finding(parent=parent, finding_id=f"f{number}", finding=finding(number))
        equal(created.name, f"{parent}/findings/f{number}")
        equal((created.state, created.mute), (scc.Finding.State.ACTIVE, scc.Finding.Mute.UNDEFINED))
        names.append(created.name)
    refused(exceptions.AlreadyExists, lambda: api.create_finding(parent=source, finding_id="f0", finding=finding(0)))
    refused(exceptions.InvalidArgument, lambda: api.create_finding(parent=source, finding_id="a-b", finding=finding(0)), "finding_id")
    refused(exceptions.InvalidArgument, lambda: api.create_finding(
        parent=source, finding_id="new", finding=finding(0, category="")), "category")
    refused(exceptions.NotFound, lambda: api.create_finding(parent=f"{SCOPE}/sources/77", finding_id="a", finding=finding(0)))
    return names


def check_lists(api, source, names):
    listed = api.list_findings(request={"parent": source, "page_size": 3, "order_by": "event_time desc"})
    pages = [[result.finding.name for result in page.list_findings_results] for page in listed.pages]
    equal([len(page) for page in pages], [3, 3, 1])
    equal(sum(pages, []), names[::-1])
    equal(next(iter(api.list_findings(request={"parent": source, "page_size": 3}).pages)).total_size, 7)
    for filter, expected in [
        ('category="Category 1"', 2),
        ('category="Category 1" OR category="Category 2"', 4),
        ('-category:"1" AND severity="HIGH"', 5),
        ('event_time >= "2026-11-21T12:00:05Z"', 2),
        ('source_properties.Pod_Namespace="ns1"', 3),
        ('resource.name:"clusters/c0"', 4),
        ('state="INACTIVE"', 0),
    ]:
        equal(len(list(api.list_findings(request={"parent": source, "filter": filter}))), expected)
    for parent in [f"{SCOPE}/sources/-", f"{SCOPE}/sources/-/locations/global", "folders/5/sources/-", "projects/shop/sources/-"]:
        equal(len(list(api.list_findings(parent=parent))), 8)
    own = list(api.list_findings(request={"parent": f"{SCOPE}/sources/urva"}))
    equal((len(own), own[0].resource.type_), (1, "google.container.Cluster"))
    only = list(api.list_findings(request={"parent": source, "field_mask": mask("category", "resource_name"), "page_size": 1}))[0]
    equal((only.finding.name, bool(only.finding.category), bool(only.finding.resource_name)), ("", True, True))
    bad = lambda **fields: lambda: list(api.list_findings(request={"parent": source, **fields}))
    refused(exceptions.InvalidArgument, bad(filter='colour="red"'), "filter", "colour")
    refused(exceptions.InvalidArgument, bad(filter="(" * 10_000), "filter")
    refused(exceptions.InvalidArgument, bad(filter="category=\"x' OR 1=1 --\" x"), "filter")
    refused(exceptions.InvalidArgument, bad(order_by="colour"), "order_by")
    refused(exceptions.InvalidArgument, bad(field_mask=mask("colour")), "field_mask", "colour")
    refused(exceptions.InvalidArgument, bad(page_size=-1), "page_size")
    refused(exceptions.InvalidArgument, bad(page_token="forged"), "page_token")
    token = next(iter(api.list_findings(request={"parent": source, "page_size": 1}).pages)).next_page_token
    refused(exceptions.InvalidArgument, bad(page_token=token, filter='state="ACTIVE"'), "page_token")
    for parent in ["organizations/..", f"{SCOPE}/sources/%00", f"{SCOPE}/sources/x/y/z"]:
        # The library itself refuses over REST what fits no path.
        refused((exceptions.InvalidArgument, exceptions.NotFound, ValueError), lambda: list(api.list_findings(parent=parent)))


def check_groups(api, source):
    groups = api.group_findings(request={"parent": source, "group_by": "category,source_properties.Pod_Namespace", "page_size": 2})
    found = {(group.properties["category"], group.properties["sourceProperties.Pod_Namespace"]): group.count for group in groups}
    expected = {}
    for number in range(7):
        key = (f"Category {number % 3}", f"ns{number % 2}")
        expected[key] = expected.get(key, 0) + 1
    equal(found, expected)
    refused(exceptions.InvalidArgument, lambda: list(api.group_findings(parent=source, group_by="colour")), "group_by")


def check_changes(api, source, names):
    name = names[1]
    equal(api.set_finding_state(name=name, state=scc.Finding.State.INACTIVE).state, scc.Finding.State.INACTIVE)
    refused(exceptions.InvalidArgument, lambda: api.set_finding_state(name=name, state=0), "state")
    muted = api.set_mute(name=name, mute=scc.Finding.Mute.MUTED)
    equal((muted.mute, muted.mute_info.static_mute.state), (scc.Finding.Mute.MUTED, scc.Finding.Mute.MUTED))
    assert muted.mute_initiator.startswith("token "), muted.mute_initiator
    equal(api.set_mute(name=name, mute=scc.Finding.Mute.UNDEFINED).mute, scc.Finding.Mute.UNDEFINED)
    changed = api.update_finding(
        finding=scc.Finding(name=name, severity="LOW", source_properties={"Pod_Name": struct_pb2.Value(string_value="web")}),
        update_mask=mask("severity", "source_properties.Pod_Name") if TRANSPORT == "grpc" else mask("severity", "source_properties"),
    )
    equal((changed.severity, changed.category, changed.source_properties["Pod_Name"]), (scc.Finding.Severity.LOW, "Category 1", "web"))
    upserted = api.update_finding(finding=finding(9, name=f"{source}/findings/f9"))
    equal((upserted.category, api.update_finding(finding=finding(10, name=upserted.name)).category), ("Category 0", "Category 1"))
    refused(exceptions.InvalidArgument, lambda: api.update_finding(
        finding=scc.Finding(name=name), update_mask=mask("mute")), "mute is not changed")
    refused(exceptions.InvalidArgument, lambda: api.update_finding(
        finding=scc.Finding(name=name), update_mask=mask("colour")), "colour")
    refused(exceptions.NotFound, lambda: api.set_mute(name=f"{source}/findings/none", mute="MUTED"), "findings/none was not found")


def check_own(api):
    own = list(api.list_findings(request={"parent": f"{SCOPE}/sources/urva"}))[0].finding
    equal(api.set_finding_state(name=own.name, state="INACTIVE").state, scc.Finding.State.INACTIVE)
    refused(exceptions.FailedPrecondition, lambda: api.update_finding(
        finding=scc.Finding(name=own.name, category="harmless"), update_mask=mask("category")), "category")


def check_marks(api, name):
    marks = f"{name}/securityMarks"
    update = lambda marks_now, *paths: api.update_security_marks(
        security_marks=scc.SecurityMarks(name=marks, marks=marks_now), update_mask=mask(*paths)
    ).marks
    equal(dict(update({"team": "red", "seen": "yes"})), {"team": "red", "seen": "yes"})
    equal(dict(update({"team": "blue"}, "marks.team")), {"team": "blue", "seen": "yes"})
    equal(dict(update({}, "marks.seen")), {"team": "blue"})
    parent = name.split("/findings/")[0]
    found = list(api.list_findings(request={"parent": parent, "filter": 'security_marks.marks.team="blue"'}))
    equal([one.finding.name for one in found], [name])
    refused(exceptions.InvalidArgument, lambda: update({"a b": "x"}), "marks")
    refused(exceptions.InvalidArgument, lambda: update({}, "colour"), "update_mask")


def check_external_systems(api, name):
    system = scc.ExternalSystem(name=f"{name}/externalSystems/jira", status="Open", assignees=["ann"])
    equal(api.update_external_system(external_system=system).status, "Open")
    system = scc.ExternalSystem(name=system.name, status="Done")
    changed = api.update_external_system(external_system=system, update_mask=mask("status"))
    equal((changed.status, list(changed.assignees), changed.name), ("Done", ["ann"], system.name))
    refused(exceptions.InvalidArgument, lambda: api.update_external_system(
        external_system=system, update_mask=mask("colour")), "colour")


def check_mute_configs(api, source):
    for parent in [SCOPE, f"{SCOPE}/locations/global"]:
        id = "rule-" + uuid.uuid4().hex[:8]
        config = scc.MuteConfig(filter='category="Category 2"', description="known", type_="STATIC")
        created = api.create_mute_config(parent=parent, mute_config_id=id, mute_config=config)
        equal((created.name, created.filter), (f"{parent}/muteConfigs/{id}", config.filter))
        equal(api.get_mute_config(name=created.name), created)
        assert created.name in [one.name for one in api.list_mute_configs(parent=parent)]
        changed = api.update_mute_config(
            mute_config=scc.MuteConfig(name=created.name, description="better"), update_mask=mask("description"))
        equal((changed.description, changed.filter), ("better", config.filter))
        refused(exceptions.AlreadyExists, lambda: api.create_mute_config(parent=parent, mute_config_id=id, mute_config=config))
        # What comes after the rule is muted by it.
        finding_id = "m" + uuid.uuid4().hex[:8]
        late = api.create_finding(parent=source, finding_id=finding_id, finding=finding(2))
        equal((late.mute, late.mute_initiator), (scc.Finding.Mute.MUTED, created.name))
        api.delete_mute_config(name=created.name)
        refused(exceptions.NotFound, lambda: api.get_mute_config(name=created.name))
    create = lambda **fields: lambda: api.create_mute_config(
        parent=SCOPE, mute_config_id="bad", mute_config=scc.MuteConfig(**{"filter": 'category="x"', "type_": "STATIC", **fields}))
    refused(exceptions.InvalidArgument, create(filter=""), "filter")
    refused(exceptions.InvalidArgument, create(filter="colour=1"), "colour")
    refused(exceptions.InvalidArgument, create(expiry_time=at(10**6)), "expiry_time")
    refused(exceptions.InvalidArgument, create(expiry_time=at(-10**6), type_="DYNAMIC"), "is over")


def until(claim):
    """What goes on after its call was answered has an end; the test's own time-out is the bound."""
    while not claim():
        pass


def check_dynamic_rule(api, source):
    name = api.create_finding(parent=source, finding_id="dynamic", finding=finding(4, category="Noise")).name
    mute = lambda: list(api.list_findings(request={"parent": source, "filter": 'category="Noise"'}))[0].finding.mute
    equal(mute(), scc.Finding.Mute.UNDEFINED)
    rule = api.create_mute_config(
        parent=SCOPE, mute_config_id="noise", mute_config=scc.MuteConfig(filter='category="Noise"', type_="DYNAMIC"))
    until(lambda: mute() == scc.Finding.Mute.MUTED)
    equal(api.set_mute(name=name, mute="UNMUTED").mute, scc.Finding.Mute.UNMUTED)
    equal(api.set_mute(name=name, mute="UNDEFINED").mute, scc.Finding.Mute.MUTED)
    api.delete_mute_config(name=rule.name)
    until(lambda: mute() == scc.Finding.Mute.UNDEFINED)


def check_wide_rule(api, source):
    """A rule that would hide what is critical in two namespaces is refused, until the caller says that it is meant."""
    for number in range(2):
        api.create_finding(parent=source, finding_id=f"wide{number}", finding=finding(
            number, category="Wide", severity=scc.Finding.Severity.CRITICAL))
    said = [("x-urva-confirm", "yes")]
    create = lambda filter, **kwargs: api.create_mute_config(
        parent=SCOPE, mute_config_id="wide", mute_config=scc.MuteConfig(filter=filter, type_="STATIC"), **kwargs)
    refused(exceptions.FailedPrecondition, lambda: create('category="Wide"'), "2 findings", "2 namespaces", "x-urva-confirm: yes")
    refused(exceptions.FailedPrecondition, lambda: create('category="Wide"', metadata=[("x-urva-confirm", "no")]))
    narrow = create('category="Wide" AND source_properties.Pod_Namespace="ns0"')
    wide = scc.MuteConfig(name=narrow.name, filter='category="Wide"')
    refused(exceptions.FailedPrecondition, lambda: api.update_mute_config(mute_config=wide, update_mask=mask("filter")))
    equal(api.update_mute_config(mute_config=wide, update_mask=mask("filter"), metadata=said).filter, wide.filter)
    # What is not changed is not asked for again.
    equal(api.update_mute_config(mute_config=wide).filter, wide.filter)
    api.delete_mute_config(name=narrow.name)


def check_bulk_mute(api, source):
    operation = api.bulk_mute_findings(request={"parent": SCOPE, "filter": 'category="Category 0"'})
    operation.result(timeout=60)
    muted = list(api.list_findings(request={"parent": source, "filter": 'category="Category 0"'}))
    assert muted and all(one.finding.mute == scc.Finding.Mute.MUTED for one in muted), muted
    request = {"parent": SCOPE, "filter": 'category="Category 0"', "mute_state": "UNDEFINED"}
    again = api.bulk_mute_findings(request=request)
    again.result(timeout=60)
    assert not list(api.list_findings(request={"parent": source, "filter": 'mute="MUTED" AND category="Category 0"'}))
    operations = api.transport.operations_client
    assert operation.operation.name in [one.name for one in operations.list_operations(f"{SCOPE}/operations" if TRANSPORT == "rest" else SCOPE, "")]
    operations.delete_operation(operation.operation.name)
    refused(exceptions.NotFound, lambda: operations.get_operation(operation.operation.name))
    refused(exceptions.InvalidArgument, lambda: api.bulk_mute_findings(request={"parent": SCOPE, "filter": "colour=1"}), "colour")


def check_notifications(api):
    parent = f"{SCOPE}/locations/global"
    config = scc.NotificationConfig(
        description="d", pubsub_topic="projects/p/topics/t", streaming_config={"filter": 'severity="CRITICAL"'})
    created = api.create_notification_config(parent=parent, config_id="siem", notification_config=config)
    equal(created.name, f"{parent}/notificationConfigs/siem")
    equal(api.get_notification_config(name=created.name), created)
    equal([one.name for one in api.list_notification_configs(parent=parent)], [created.name])
    changed = api.update_notification_config(
        notification_config=scc.NotificationConfig(name=created.name, streaming_config={"filter": 'severity="HIGH"'}),
        update_mask=mask("streaming_config.filter"))
    equal((changed.streaming_config.filter, changed.description), ('severity="HIGH"', "d"))
    api.delete_notification_config(name=created.name)
    refused(exceptions.NotFound, lambda: api.delete_notification_config(name=created.name))
    refused(exceptions.InvalidArgument, lambda: api.create_notification_config(
        parent=parent, config_id="Bad Id", notification_config=config), "config_id")


def check_roles(source, name):
    viewer, analyst, responder = client(VIEWER), client(ANALYST), client(RESPONDER)
    list(viewer.list_findings(parent=source))
    refused(exceptions.PermissionDenied, lambda: viewer.set_mute(name=name, mute="MUTED"), "needs the role analyst")
    analyst.set_mute(name=name, mute="UNDEFINED")
    rule = scc.MuteConfig(filter='category="x"', type_="STATIC")
    create = lambda api: lambda: api.create_mute_config(parent=SCOPE, mute_config_id="roles", mute_config=rule)
    refused(exceptions.PermissionDenied, create(analyst), "needs the role responder")
    responder.delete_mute_config(name=create(responder)().name)
    refused(exceptions.PermissionDenied, lambda: responder.create_source(parent=SCOPE, source=scc.Source(display_name="x")), "admin")
    if TRANSPORT == "rest":
        # Over REST the library takes a token that was refused for one that is to be refreshed, which these cannot be.
        for token in [EXPIRED, "urva_" + "A" * 43, "ya29.google"]:
            refused(RefreshError, lambda: client(token).list_sources(parent=SCOPE))
        return
    refused(exceptions.Unauthenticated, lambda: client(EXPIRED).list_sources(parent=SCOPE), "expired")
    refused(exceptions.Unauthenticated, lambda: client("urva_" + "A" * 43).list_sources(parent=SCOPE), "not known")
    refused(exceptions.Unauthenticated, lambda: client("ya29.google").list_sources(parent=SCOPE), "no token of urva")


def check_not_offered(admin):
    refused(exceptions.MethodNotImplemented, lambda: admin.list_big_query_exports(parent=f"{SCOPE}/locations/global"))


admin = client(ADMIN)
source = check_sources(admin)
names = check_findings(admin, source)
check_lists(admin, source, names)
check_groups(admin, source)
check_changes(admin, source, names)
check_own(admin)
check_marks(admin, names[0])
check_external_systems(admin, names[0])
check_mute_configs(admin, source)
check_dynamic_rule(admin, source)
check_wide_rule(admin, source)
check_bulk_mute(admin, source)
check_notifications(admin)
check_roles(source, names[0])
check_not_offered(admin)
print(f"all methods over {TRANSPORT} and {SCHEME}, {CALLS} refusals checked, 0 wrong")

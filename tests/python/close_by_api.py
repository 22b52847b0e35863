#!/usr/bin/env python3
"""Lists a container's findings through urva's API with Google's own client, closes them, and writes them as JSON.

    close_by_api.py ADDRESS PARENT CONTAINER

The token comes in URVA_TOKEN. Needs: pip install google-cloud-securitycenter
"""

import json
import os
import sys

from google.cloud import securitycenter_v2 as scc
from google.cloud.securitycenter_v2.services.security_center.transports import SecurityCenterRestTransport
from google.oauth2.credentials import Credentials
from google.protobuf import json_format

address, parent, container = sys.argv[1:]
credentials = Credentials(os.environ["URVA_TOKEN"])
client = scc.SecurityCenterClient(
    transport=SecurityCenterRestTransport(host=address, credentials=credentials, url_scheme="http")
)
results = list(client.list_findings(
    request={"parent": parent, "filter": f'source_properties.Container_Id="{container}" AND state="ACTIVE"'}
))
for result in results:
    closed = client.set_finding_state(name=result.finding.name, state=scc.Finding.State.INACTIVE)
    assert closed.state == scc.Finding.State.INACTIVE, closed
print(json.dumps([json_format.MessageToDict(type(result).pb(result)) for result in results]))
